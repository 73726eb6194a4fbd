"""Presentations: a page a slide, with its tables, charts, diagrams and speaker notes; hidden slides are left out."""

from collections.abc import Iterator
from typing import Any

from api.documents.reading.package import Link, Package
from api.documents.reading.sections import Pages
from api.documents.reading.tables import row_line, table_lines
from api.documents.reading.values import MAX_PAGE_CHARACTERS, MAX_TITLE_CHARACTERS, Notice, Text

P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
TITLES = frozenset({"title", "ctrTitle"})
OF_EVERY_SLIDE = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
"""Placeholders that repeat on each slide."""
MAX_POINTS = 2000
"""Values of a chart."""


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """Its slides keep their numbers, also where one is left out."""
    package = Package(file)
    name = package.main()
    links, tree = package.links(name), package.xml(name)
    slides = _Slides(package, Pages(max_pages, max_characters, MAX_PAGE_CHARACTERS, 0))
    for number, one in enumerate(tree.iterfind(f"{P}sldIdLst/{P}sldId"), start=1):
        slides.add(number, links.get(str(one.get(R_ID))))
    pages = slides.pages.all()
    first = next((page.label for page in pages if page.label), "")
    title = package.title()
    if not title or title.lower().startswith("powerpoint"):  # what PowerPoint calls all of them
        title = first
    hidden = set(slides.hidden)
    shown = [page for page in pages if page.number not in hidden]
    return Text(title[:MAX_TITLE_CHARACTERS], shown, [], slides.notices())


class _Slides:
    """The slides on their way into pages."""

    def __init__(self, package: Package, pages: Pages) -> None:
        self.pages = pages
        self.hidden: list[int] = []
        self._package = package
        self._pictures: list[int] = []
        self._comments = 0

    def add(self, number: int, link: Link | None) -> None:
        """The next one; one that is hidden or not there is an empty page."""
        tree = self._package.xml(link.target) if link else None
        if tree is None or tree.get("show") in {"0", "false"}:
            self.hidden.append(number)
            self.pages.close(keep_empty=True)
            return
        links = self._package.links(link.target if link else "")
        title = ""
        texts: list[tuple[str, str]] = []  # what stands before each, and it
        for shape in _shapes(tree):
            role = _role(shape)
            if role in TITLES and not title:
                title = " ".join(" ".join(_paragraphs(shape)).split())
            elif role not in OF_EVERY_SLIDE:
                texts += self._texts(shape, links, number)
        self.pages.part(title)
        self.pages.heading(title, 1)
        for gap, text in (*texts, *self._notes(links)):
            self.pages.add(text, gap)
        self.pages.close(keep_empty=True)

    def notices(self) -> list[Notice]:
        """What was left out."""
        found = self._package.notices("ppt")
        if self.hidden:
            found.append(Notice("hidden", "Hidden slides were left out.", self.hidden))
        if self._pictures:
            numbers = sorted(set(self._pictures))
            detail = "Pictures say nothing in words; what they show is not searched."
            found.append(Notice("pictures", detail, numbers))
        if self._comments:
            found.append(Notice("comments", "The comments of some slides were left out."))
        return found

    def _texts(self, shape: Any, links: dict[str, Link], number: int) -> list[tuple[str, str]]:
        if shape.tag == P + "pic":
            properties = shape.find(f"{P}nvPicPr/{P}cNvPr")
            described = str(properties.get("descr") or "") if properties is not None else ""
            if not described:
                self._pictures.append(number)
            return [("\n\n", described)]
        if shape.tag != P + "graphicFrame":
            return _together(_paragraphs(shape))
        table = next(shape.iter(A + "tbl"), None)
        if table is not None:
            return _together(table_lines(_rows(table), _has_header(table)))
        return _together(self._drawn(shape, links))

    def _drawn(self, frame: Any, links: dict[str, Link]) -> list[str]:
        """The words of a chart or a diagram, which are parts of their own."""
        lines: list[str] = []
        for one in frame.iter():
            for value in one.attrib.values() if isinstance(one.tag, str) else ():
                link = links.get(str(value))
                if link and link.kind == "chart":
                    lines += _chart(self._package.xml(link.target))
                elif link and link.kind == "diagramData":
                    tree = self._package.xml(link.target)
                    lines += _paragraphs(tree) if tree is not None else []
        return lines

    def _notes(self, links: dict[str, Link]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for link in links.values():
            self._comments += link.kind == "comments"
            tree = self._package.xml(link.target) if link.kind == "notesSlide" else None
            for shape in _shapes(tree) if tree is not None else ():
                if _role(shape) not in OF_EVERY_SLIDE and (lines := list(_paragraphs(shape))):
                    found += [
                        ("\n\n", "Speaker notes: " + lines[0]),
                        *(("\n", one) for one in lines[1:]),
                    ]
        return found


def _together(lines: Any) -> list[tuple[str, str]]:
    return [("\n" if at else "\n\n", line) for at, line in enumerate(lines)]


def _shapes(tree: Any) -> Iterator[Any]:
    """Shapes, pictures and frames in their order, also in groups."""
    for shape in tree.iter(P + "sp", P + "pic", P + "graphicFrame"):
        if next(shape.iterancestors(FALLBACK), None) is None:
            yield shape


def _role(shape: Any) -> str:
    placeholder = shape.find(f"*/{P}nvPr/{P}ph")
    return str(placeholder.get("type") or "body") if placeholder is not None else ""


def _paragraphs(shape: Any) -> Iterator[str]:
    """The lines of text in it."""
    for paragraph in shape.iter(A + "p"):
        parts = []
        for one in paragraph.iter(A + "t", A + "br"):
            parts.append("\n" if one.tag == A + "br" else one.text or "")
        if text := "".join(parts).strip():
            properties = paragraph.find(A + "pPr")
            level = str(properties.get("lvl") or "0") if properties is not None else "0"
            yield f"{'  ' * int(level)}- {text}" if level in "12345678" else text


def _rows(table: Any) -> list[list[str]]:
    rows: list[list[str]] = []
    for row in table.iterfind(A + "tr"):
        cells: list[str] = []
        for cell in row.iterfind(A + "tc"):
            above = rows[-1][len(cells)] if rows and len(cells) < len(rows[-1]) else ""
            is_merged = cell.get("vMerge") in {"1", "true"}
            cells.append(above if is_merged else " ".join(" ".join(_paragraphs(cell)).split()))
        rows.append(cells)
    return rows


def _has_header(table: Any) -> bool | None:
    properties = table.find(A + "tblPr")
    is_said = properties is not None and properties.get("firstRow") in {"1", "true"}
    return True if is_said else None


def _chart(tree: Any) -> list[str]:
    """A line a category, with the value of each series, as they were last calculated."""
    if tree is None:
        return []
    lines = [" ".join(_paragraphs(one)) for one in tree.iter(C + "title")]
    header, columns = [""], [[""]]
    for series in tree.iter(C + "ser"):
        categories = _values(series.find(C + "cat"))
        columns[0] = max(columns[0], categories, key=len)
        header.append(" ".join(_values(series.find(C + "tx"))))
        columns.append(_values(series.find(C + "val")))
    for at in range(min(MAX_POINTS, max(map(len, columns)))):
        cells = [column[at] if at < len(column) else "" for column in columns]
        lines.append(row_line(header, cells))
    return [line for line in lines if line.strip()]


def _values(element: Any) -> list[str]:
    return [one.text or "" for one in element.iter(C + "v")] if element is not None else []
