"""HTML: what a browser shows of it, its headings as sections, its tables as rows that read alone."""

import re
from dataclasses import dataclass, field
from html.entities import html5
from typing import Any

from lxml import etree

from api.documents.reading.decoding import declared_encoding, decode, read_bytes
from api.documents.reading.html_tables import (
    BLOCKS,
    HEADINGS,
    NOT_SHOWN,
    is_hidden,
    is_of_data,
    rows_of,
    text_of,
)
from api.documents.reading.package import parsed
from api.documents.reading.sections import Pages
from api.documents.reading.tables import table_lines
from api.documents.reading.text import clean, opening_words
from api.documents.reading.values import MAX_TITLE_CHARACTERS, Notice, Text, Unusable

CLOSE_TOGETHER = frozenset({"li", "dt", "dd", "tr", "td", "th"})
_XML_HEAD = re.compile(r"\A\s*<\?xml[^>]*\?>\s*|<!DOCTYPE[^>\[]*>", re.IGNORECASE)
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,30};)")
_SPACES = re.compile(r"[ \t\n\r\f\v]+")


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """One file."""
    raw = read_bytes(file, max_characters)
    text, notices = decode(raw, declared_encoding(raw))
    found = read_text(text, max_pages, max_characters)
    found.notices = notices + found.notices
    return found


def read_text(text: str, max_pages: int, max_characters: int) -> Text:
    """A page of HTML that is decoded already."""
    shown = Shown(Pages(max_pages, max_characters))
    title = shown.read(text)
    pages = shown.pages.all()
    title = title or shown.first_heading or opening_words(pages)
    return Text(" ".join(title.split())[:MAX_TITLE_CHARACTERS], pages, [], shown.notices())


@dataclass
class Shown:
    """What is shown goes to `pages`, whichever files it comes from."""

    pages: Pages
    first_heading: str = ""
    pictures: int = 0
    has_navigation: bool = False
    _line: list[str] = field(default_factory=list)
    _bullet: str = ""
    _preformatted: int = 0
    _numbers: dict[Any, int] = field(default_factory=dict)

    def read(self, text: str) -> str:
        """Add all of one file; returns its title."""
        parser = etree.HTMLParser(
            encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, no_network=True
        )
        root = etree.fromstring(text.encode("utf-8", "replace").replace(b"\0", b" "), parser)
        if root is None:
            return ""
        _require_whole(parser)
        return self._read(root)

    def add_chapter(self, raw: bytes) -> None:
        """Add a file of XHTML, as books have them; what is no XML is read as HTML."""
        text, _ = decode(raw, declared_encoding(raw))
        if not text.lstrip("\ufeff\n\r\t ").startswith("<?xml"):
            self.read(text)
            return
        try:
            root = parsed(
                _NAMED.sub(_character, _XML_HEAD.sub("", text)).encode("utf-8", "replace")
            )
        except Unusable:
            self.read(_XML_HEAD.sub("", text))
            return
        for element in root.iter(etree.Element):
            element.tag = element.tag.rpartition("}")[2].lower()
        self._read(root)

    def _read(self, root: Any) -> str:
        title = clean(str(root.findtext(".//title") or ""))
        self._walk(root)
        return title

    def notices(self) -> list[Notice]:
        """What was left out."""
        found = []
        if self.pictures:
            detail = (
                f"{self.pictures} pictures say nothing in words; what they show is not searched."
            )
            found.append(Notice("pictures", detail))
        if self.has_navigation:
            found.append(Notice("navigation", "The menus of the page (`nav`) were left out."))
        return found

    def _walk(self, root: Any) -> None:
        """In the order of the text; no recursion, however deep it is nested."""
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "end":
                self._end(tag)
                self._inline(element.tail)
            elif self._is_left_out(tag, element):
                self._part(tag)
                walker.skip_subtree()
            elif tag == "table" and is_of_data(element):
                self._table(element)
                walker.skip_subtree()
            else:
                self._begin(tag, element)
        self._flush()

    def _is_left_out(self, tag: str, element: Any) -> bool:
        if tag == "nav":
            self.has_navigation = True
            return True
        return tag in NOT_SHOWN or is_hidden(element)

    def _begin(self, tag: str, element: Any) -> None:
        self._part(tag)
        if tag == "br":
            self._line.append("\n")
        elif tag == "img":
            self._picture(element)
        elif tag == "li":
            self._bullet = self._bullet_of(element)
        elif tag == "pre":
            self._preformatted += 1
        self._inline(element.text)

    def _end(self, tag: str) -> None:
        if tag in HEADINGS:
            title = self._taken()
            self.first_heading = self.first_heading or title
            self.pages.heading(title, HEADINGS[tag])
        elif tag in BLOCKS:
            self._flush("\n" if tag in CLOSE_TOGETHER else "\n\n")
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1

    def _part(self, tag: str) -> None:
        """What stood before a block is one of its own."""
        if tag in BLOCKS or tag in HEADINGS:
            self._flush()

    def _inline(self, text: str | None) -> None:
        if text:
            self._line.append(text if self._preformatted else _SPACES.sub(" ", text))

    def _flush(self, gap: str = "\n\n") -> None:
        gap = "\n" if self._bullet else gap
        if text := self._taken():
            self.pages.add(text, gap)

    def _taken(self) -> str:
        lines = "".join(self._line).split("\n")
        self._line = []
        text = "\n".join(
            line.rstrip() if self._preformatted else line.strip() for line in lines
        ).strip("\n")
        if text:
            text, self._bullet = f"{self._bullet}{text}", ""
        return text

    def _bullet_of(self, item: Any) -> str:
        parent = item.getparent()
        if parent is None or parent.tag != "ol":
            return "- "
        said = str(parent.get("start") or "1")
        first = int(said) if said.isdigit() and len(said) < 9 else 1
        self._numbers[parent] = number = self._numbers.get(parent, first - 1) + 1
        return f"{number}. "

    def _picture(self, element: Any) -> None:
        alternative = element.get("alt")
        if alternative is None:
            self.pictures += 1
        elif alternative.strip():
            self._line.append(f" {alternative.strip()} ")

    def _table(self, table: Any) -> None:
        self._flush()
        if caption := text_of(table.find("caption")):
            self.pages.add(caption)
        gap = "\n\n"
        for line in table_lines(*rows_of(table)):
            self.pages.add(line, gap)
            gap = "\n"


def _character(entity: re.Match[str]) -> str:
    """What HTML means by a name; XML knows five of them."""
    if entity[1] in {"amp;", "lt;", "gt;", "quot;", "apos;"}:
        return entity[0]
    return html5.get(entity[1], entity[0].replace("&", "&amp;"))


def _require_whole(parser: Any) -> None:
    """The parser goes on after most errors; where it gave up, text would be missing in silence."""
    for entry in parser.error_log:
        if entry.level == 3 and "depth" in entry.message.lower():
            raise Unusable(
                "broken", f"The HTML cannot be read to its end: {entry.message.strip()}."
            )
