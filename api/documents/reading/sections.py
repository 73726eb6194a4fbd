"""Where a document has no pages: its text becomes pages at its headings, none longer than can be looked over."""

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
"""Headings of this level and above begin a page."""


class Pages:
    """Collects text in its order; `label` of each page is the trail of headings above its first text."""

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
        self._parts: list[str] = []
        self._length = 0
        self._has_text = False
        self._label = self._first_label = ""
        self._trail: list[tuple[int, str]] = []

    def add(self, text: str, gap: str = "\n\n", opening: str = "") -> None:
        """Text that follows, after `gap` where it stands on the same page; `opening` labels a page that it begins."""
        for piece in _pieces(clean(text.replace("\xad", "")), self._page_characters):
            if self._has_text and self._length + len(piece) > self._page_characters:
                self.close()
            if not self._has_text:
                self._first_label = opening[:MAX_TITLE_CHARACTERS] or self._label
            self._put(piece, gap)
            self._has_text = True

    def heading(self, text: str, level: int) -> None:
        """A heading; one of a high level begins a page, unless only headings stand there yet."""
        title = " ".join(clean(text.replace("\xad", "")).split())
        if not title:
            return
        if self._has_text and (
            level <= self._opens_a_page or self._length + 2 * len(title) > self._page_characters
        ):
            self.close()
        self._trail = [(depth, name) for depth, name in self._trail if depth < level]
        self._trail.append((level, title))
        self.name(" > ".join(name for _, name in self._trail))
        self._put(title, "\n\n")

    def name(self, label: str) -> None:
        """What pages are called from here on."""
        self._label = " ".join(clean(label).split())[:MAX_TITLE_CHARACTERS]
        if not self._has_text:
            self._first_label = self._label

    def part(self, label: str) -> None:
        """A part of the document, as a sheet or a chapter, begins a page, under no heading of the part before."""
        self.close()
        self._trail = []
        self.name(label)

    def close(self, *, keep_empty: bool = False) -> None:
        """End the page; one without text is none, unless it is to be kept."""
        if self._parts or keep_empty:
            text = "".join(self._parts).strip("\n")
            self._characters += len(text)
            if len(self._pages) == self._most:
                raise Unusable("too_many_pages", f"The document has more than {self._most} pages.")
            if self._characters > self._most_characters:
                raise too_much_text(self._most_characters)
            self._pages.append(ReadPage(len(self._pages) + 1, text, self._first_label))
        self._parts, self._length, self._has_text = [], 0, False
        self._first_label = self._label

    def all(self) -> list[ReadPage]:
        """Every page; `Unusable` when none has text."""
        self.close()
        if not any(page.text for page in self._pages):
            raise Unusable("no_text", "The document holds no text.")
        return self._pages

    def _put(self, text: str, gap: str) -> None:
        part = f"{gap}{text}" if self._parts else text
        self._parts.append(part)
        self._length += len(part)
        if self._characters + self._length > self._most_characters:
            raise too_much_text(self._most_characters)


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
