"""Word documents: paragraphs, lists, tables, notes and text boxes in their order, tracked changes as if accepted."""

from collections.abc import Iterator
from typing import Any

from api.documents.reading.docx_styles import Numbers, Styles, W
from api.documents.reading.package import Package
from api.documents.reading.sections import Pages
from api.documents.reading.tables import table_lines
from api.documents.reading.text import opening_words
from api.documents.reading.values import MAX_PAGE_CHARACTERS, MAX_TITLE_CHARACTERS, Notice, Text

MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
DRAWN = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
LEFT_OUT = frozenset(
    {
        *(W + name for name in ("del", "moveFrom", "pPr", "rPr", "instrText", "delText", "object")),
        FALLBACK,
    }
)
AS_TEXT = {
    W + "tab": " ",
    W + "br": "\n",
    W + "cr": "\n",
    W + "noBreakHyphen": "-",
    W + "ptab": " ",
}
HEADERS = ("word/header", "word/footer")
MAX_HEADERS = 50
MAX_SPAN = 100


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """Its pages are those that Word has last shown, where the file says so; else its sections."""
    package = Package(file)
    return _Document(package, max_pages, max_characters).read()


class _Document:
    """The main part, on its way into pages."""

    def __init__(self, package: Package, max_pages: int, max_characters: int) -> None:
        self._package = package
        self._name = package.main()
        self._tree = package.xml(self._name)
        links = {link.kind: link.target for link in package.links(self._name).values()}
        self._styles = Styles(package.xml(links.get("styles", "")))
        self._numbers = Numbers(package.xml(links.get("numbering", "")))
        self._notes = {
            kind: {note.get(W + "id"): note for note in tree.iter(W + kind)}
            if tree is not None
            else {}
            for kind in ("footnote", "endnote")
            for tree in [package.xml(links.get(f"{kind}s", ""))]
        }
        self._has_pages = next(self._tree.iter(W + "lastRenderedPageBreak"), None) is not None
        self._pages = (
            Pages(max_pages, max_characters, MAX_PAGE_CHARACTERS, 0)
            if self._has_pages
            else Pages(max_pages, max_characters)
        )
        self._after: list[
            str
        ] = []  # notes and text boxes, behind the paragraph that they belong to
        self._note_count = self._pictures = 0
        self._first_heading = ""

    def read(self) -> Text:
        """All of it."""
        for block in _blocks(self._tree.find(W + "body")):
            if block.tag == W + "p":
                self._paragraph(block)
            else:
                self._table(block)
        pages = self._pages.all()
        title = self._package.title() or self._first_heading or opening_words(pages)
        return Text(title[:MAX_TITLE_CHARACTERS], pages, [], self._notices())

    def _paragraph(self, paragraph: Any) -> None:
        breaks = self._breaks(paragraph) if self._has_pages else ()
        for is_before in breaks:
            if is_before:
                self._pages.close(keep_empty=True)
        text = "".join(self._text(paragraph)).strip()
        level = self._styles.level(paragraph)
        number, indent = self._numbers.of(self._styles.numbering(paragraph))
        if text and level is not None:
            title = f"{number} {text}".strip()
            self._first_heading = self._first_heading or title
            self._pages.heading(title, level)
        elif text:
            self._pages.add(
                f"{indent}{number} {text}" if number else text, "\n" if number else "\n\n"
            )
        for one in self._taken():
            self._pages.add(one)
        for is_before in breaks:
            if not is_before:
                self._pages.close(keep_empty=True)

    def _taken(self) -> list[str]:
        taken, self._after = self._after, []
        return taken

    def _breaks(self, paragraph: Any) -> list[bool]:
        """The ends of pages in it: whether each stands before its text. A paragraph stays whole on its first page."""
        found = []
        has_text = False
        for one in paragraph.iter(W + "t", W + "lastRenderedPageBreak"):
            has_text |= one.tag == W + "t" and bool((one.text or "").strip())
            if one.tag != W + "t":
                found.append(not has_text)
        return found

    def _text(self, element: Any) -> Iterator[str]:
        """What is shown of it; the parser bounds how deep it is nested."""
        for one in element:
            tag = one.tag
            if tag in LEFT_OUT or (tag == W + "r" and _is_hidden(one)):
                continue
            if tag in (W + "t", MATH_TEXT):
                yield one.text or ""
            elif tag in AS_TEXT:
                yield AS_TEXT[tag]
            elif tag in (W + "footnoteReference", W + "endnoteReference"):
                self._note(tag[len(W) : -len("Reference")], one.get(W + "id"))
            elif tag == W + "txbxContent":
                self._after += [text for text in self._box(one) if text]
            elif tag == DRAWN:
                yield self._drawn(one)
            else:
                yield from self._text(one)

    def _box(self, box: Any) -> list[str]:
        lines = []
        for block in _blocks(box):
            if block.tag == W + "p":
                lines.append("".join(self._text(block)).strip())
            else:
                lines += self._lines(block)
        return lines

    def _drawn(self, properties: Any) -> str:
        described = str(properties.get("descr") or "").strip()
        parent = properties.getparent()
        has_text = parent is not None and next(parent.iter(W + "t"), None) is not None
        if not described and not has_text:
            self._pictures += 1
        return f" {described} " if described and not has_text else ""

    def _note(self, kind: str, identifier: str | None) -> None:
        note = self._notes[kind].get(identifier)
        if note is not None:
            self._note_count += 1
            words = " ".join("".join(self._text(note)).split())
            if words:
                self._after.append(f"Note {self._note_count}: {words}")

    def _table(self, table: Any) -> None:
        gap = "\n\n"
        for line in self._lines(table):
            self._pages.add(line, gap)
            gap = "\n"
        for one in self._taken():
            self._pages.add(one)
        if self._has_pages:
            for _ in table.iter(W + "lastRenderedPageBreak"):
                self._pages.close(keep_empty=True)

    def _lines(self, table: Any) -> list[str]:
        rows: list[list[str]] = []
        has_header = None
        for row in _children(table, W + "tr"):
            properties = row.find(W + "trPr")
            if properties is not None and properties.find(W + "del") is not None:
                continue
            if not rows and properties is not None and properties.find(W + "tblHeader") is not None:
                has_header = True
            rows.append(self._cells(row, rows[-1] if rows else []))
        return table_lines(rows, has_header)

    def _cells(self, row: Any, above: list[str]) -> list[str]:
        cells: list[str] = []
        for cell in _children(row, W + "tc"):
            merged = cell.find(f"{W}tcPr/{W}vMerge")
            span = cell.find(f"{W}tcPr/{W}gridSpan")
            if merged is not None and merged.get(W + "val", "continue") == "continue":
                text = above[len(cells)] if len(cells) < len(above) else ""
            else:
                text = " ".join(" ".join(self._box(cell)).split())
            said = span.get(W + "val", "1") if span is not None else "1"
            width = min(int(said), MAX_SPAN) if said.isdigit() and len(said) < 9 else 1
            cells += [text, *[""] * (width - 1)]
        return cells

    def _notices(self) -> list[Notice]:
        found = self._package.notices("word")
        if self._pictures:
            detail = (
                f"{self._pictures} pictures say nothing in words; what they show is not searched."
            )
            found.append(Notice("pictures", detail))
        tracked = (W + "ins", W + "del", W + "moveFrom")
        if next(self._tree.iter(*tracked), None) is not None:
            found.append(Notice("tracked_changes", "Tracked changes were read as if accepted."))
        comments = self._package.xml("word/comments.xml")
        if comments is not None and len(comments):
            found.append(Notice("comments", f"{len(comments)} comments were left out."))
        if self._has_headers():
            found.append(Notice("headers", "Headers and footers of the pages were left out."))
        return found

    def _has_headers(self) -> bool:
        names = [name for name in self._package.names if name.startswith(HEADERS)]
        trees = [self._package.xml(name) for name in names[:MAX_HEADERS]]
        return any((one.text or "").strip() for tree in trees for one in tree.iter(W + "t"))


def _blocks(element: Any) -> Iterator[Any]:
    """Paragraphs and tables, also in content controls and other wrappings."""
    for one in element if element is not None else ():
        if one.tag in (W + "p", W + "tbl"):
            yield one
        elif one.tag not in LEFT_OUT:
            yield from _blocks(one)


def _children(element: Any, tag: str) -> Iterator[Any]:
    """Rows or cells, also in content controls."""
    for one in element:
        if one.tag == tag:
            yield one
        elif one.tag in (W + "sdt", W + "sdtContent", W + "ins", W + "customXml"):
            yield from _children(one, tag)


def _is_hidden(run: Any) -> bool:
    vanish = run.find(f"{W}rPr/{W}vanish")
    return vanish is not None and vanish.get(W + "val", "1") not in {"0", "false", "off"}
