"""Where a document has no pages: its text becomes pages at its headings, none longer than can be looked over."""

from dataclasses import dataclass, field

from api.documents.reading.text import clean
from api.documents.reading.values import (
    MAX_PAGE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    ReadPage,
    Unusable,
)

PAGE_CHARACTERS = 4000
"""A page is closed before it gets longer: about what a printed one holds."""
OPENS_A_PAGE = 2
"""Headings of this level and above begin a page, when the one before holds enough to be searched by itself."""
ENOUGH_CHARACTERS = 1500

Trail = tuple[str, ...]
"""The headings above some text, from the highest down."""


@dataclass
class _Growing:
    """A page that is not ended yet, and the headings above its first and its last text."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    has_text: bool = False
    opening: str = ""
    first: Trail = ()
    last: Trail = ()


class Pages:
    """Collects text in its order. Each page is labelled by the headings above its text, unless it is told otherwise."""

    def __init__(
        self,
        most: int,
        most_characters: int,
        page_characters: int = PAGE_CHARACTERS,
        opens_a_page: int = OPENS_A_PAGE,
    ) -> None:
        self._most, self._most_characters = most, most_characters
        self._opens_a_page = opens_a_page
        self._page_characters = min(page_characters, MAX_PAGE_CHARACTERS)
        self._pages: list[ReadPage] = []
        self._characters = 0
        self._above: list[tuple[int, str]] = []
        self._waiting: list[str] = []  # headings that go where the text below them goes
        self._part = ""
        self._page = _Growing()

    def add(self, text: str, gap: str = "\n\n", opening: str = "") -> None:
        """Text that follows, after `gap` where it stands on the same page; `opening` labels a page that it begins."""
        for piece in _pieces(clean(text.replace("\xad", "")), self._page_characters):
            length = len(piece) + sum(map(len, self._waiting))
            if self._page.has_text and self._page.length + length > self._page_characters:
                self._end()
            self._put_headings()
            self._page.opening = self._page.opening if self._page.has_text else opening
            self._page.last = tuple(title for _, title in self._above)
            self._page.first = self._page.first if self._page.has_text else self._page.last
            self._put(piece, gap)
            self._page.has_text = True

    def heading(self, text: str, level: int) -> None:
        """A heading; one of a high level begins a page, unless only headings or little text stand there yet."""
        title = " ".join(clean(text.replace("\xad", "")).split())
        if not title:
            return
        if (
            level <= self._opens_a_page
            and self._page.has_text
            and self._page.length >= ENOUGH_CHARACTERS
        ):
            self.close()
        self._above = [(depth, name) for depth, name in self._above if depth < level]
        self._above.append((level, title))
        self._waiting.append(title)

    def part(self, label: str) -> None:
        """A part of the document, as a sheet or a chapter, begins a page, under no heading of the part before."""
        self.close()
        self._above, self._part = [], label

    def close(self, *, keep_empty: bool = False) -> None:
        """End the page; one without text is none, unless it is to be kept."""
        if self._waiting and not self._page.has_text:
            self._page.first = self._page.last = tuple(title for _, title in self._above)
        self._put_headings()
        if self._page.parts or keep_empty:
            self._end()

    def all(self) -> list[ReadPage]:
        """Every page; `Unusable` when none has text."""
        self.close()
        if not any(page.text for page in self._pages):
            raise Unusable("no_text", "The document holds no text.")
        return self._pages

    def _end(self) -> None:
        text = "".join(self._page.parts).strip("\n")
        self._characters += len(text)
        if len(self._pages) == self._most:
            raise Unusable("too_many_pages", f"The document has more than {self._most} pages.")
        if self._characters > self._most_characters:
            raise too_much_text(self._most_characters)
        label = self._page.opening or self._part or _label(self._page.first, self._page.last)
        label = " ".join(clean(label).split())[:MAX_TITLE_CHARACTERS]
        self._pages.append(ReadPage(len(self._pages) + 1, text, label))
        self._page = _Growing()

    def _put_headings(self) -> None:
        for title in self._waiting:
            self._put(title, "\n\n")
        self._waiting = []

    def _put(self, text: str, gap: str) -> None:
        part = f"{gap}{text}" if self._page.parts else text
        self._page.parts.append(part)
        self._page.length += len(part)
        if self._characters + self._page.length > self._most_characters:
            raise too_much_text(self._most_characters)


def _label(first: Trail, last: Trail) -> str:
    """Of one section all headings; of several those that they share, and the first and the last of them."""
    shared = [one for one, other in zip(first, last, strict=False) if one == other]
    if first == last or len(shared) == min(len(first), len(last)):
        return " > ".join(shared)
    return " > ".join([*shared, f"{first[len(shared)]} - {last[len(shared)]}"])


def too_much_text(most: int) -> Unusable:
    """The bound on characters."""
    return Unusable(
        "too_much_text",
        f"The document holds more than {most:,} characters. Split it into parts.",
    )


def _pieces(text: str, longest: int) -> list[str]:
    """The text, cut at lines, sentences or words where it is too long for one page."""
    if len(text) <= longest:
        return [text] if text.strip() else []
    found, start = [], 0
    while len(text) - start > longest:
        window = text[start : start + longest]
        cut = max(window.rfind("\n"), window.rfind(". ") + 1)
        if cut < longest // 2:
            cut = max(cut, window.rfind(" "))
        cut = cut if cut > 0 else longest
        found.append(text[start : start + cut].strip("\n "))
        start += cut
    return [piece for piece in (*found, text[start:].strip("\n ")) if piece]
