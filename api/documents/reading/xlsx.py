"""Workbooks: each sheet is read row by row, and a row reads alone; values are those that were last calculated."""

import re
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from api.documents.reading.package import Package, broken
from api.documents.reading.sections import Pages
from api.documents.reading.tables import sheet_lines
from api.documents.reading.values import MAX_TITLE_CHARACTERS, Notice, Text, Unusable

HEADER_WITHIN = 20
"""Rows of a sheet among which its header is looked for."""
MAX_MERGED = 20_000
PIECE_BYTES = 2**20
_UNCALCULATED = re.compile(rb"</f>\s*(?:<v>\s*</v>\s*|<v\s*/>\s*)?</c>")
_MERGED = re.compile(rb'<mergeCell [^>]{0,100}?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')

R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

Row = list[str]


def read(file: str, max_pages: int, max_characters: int) -> Text:
    """Every sheet that is shown."""
    package = Package(file)
    book = opened(file)
    pages = Pages(max_pages, max_characters)
    hidden, uncalculated = [], []
    parts = dict(_parts(package))
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            hidden.append(sheet.title)
            continue
        seen = _Seen(package.read(parts.get(sheet.title, "")) or b"")
        if seen.uncalculated:
            uncalculated.append(f"{sheet.title} ({seen.uncalculated})")
        _add(pages, sheet.title, _rows(sheet, seen))
    notices = package.notices("xl")
    if hidden:
        notices.append(Notice("hidden", f"Hidden sheets were left out: {', '.join(hidden)}."))
    if uncalculated:
        some = ", ".join(uncalculated)
        detail = f"Formulas without a value, which the program that wrote the file did not calculate: {some}."
        notices.append(Notice("formulas", detail))
    if package.count("xl/comments") or package.count("xl/threadedComments"):
        notices.append(Notice("comments", "The comments of cells were left out."))
    if package.count("xl/media/") or package.count("xl/charts/"):
        notices.append(Notice("pictures", "Pictures and charts of the sheets were left out."))
    found = pages.all()
    title = str(book.properties.title or "") or found[0].label
    return Text(title[:MAX_TITLE_CHARACTERS], found, [], notices)


def _parts(package: Package) -> Iterator[tuple[str, str]]:
    """The name of each sheet with that of its part."""
    name = package.main()
    links = package.links(name)
    for sheet in package.xml(name).iter("{*}sheet"):
        if link := links.get(str(sheet.get(R_ID))):
            yield str(sheet.get("name")), link.target


def opened(file: str) -> Any:
    """The workbook, whose values are those that were last calculated; `Unusable` for a damaged one."""
    sys.modules.setdefault("numpy", None)  # type: ignore[arg-type]  # its threads take more memory than we have here
    import openpyxl

    try:
        return openpyxl.load_workbook(
            Path(file).open("rb"), read_only=True, data_only=True, keep_links=False
        )
    except (Unusable, MemoryError):
        raise
    except Exception as error:  # of a damaged file it raises whatever its parts lead to
        raise broken() from error


class _Seen:
    """What the library does not tell of a sheet: merged cells, and formulas that were never calculated."""

    def __init__(self, raw: bytes) -> None:
        self.uncalculated = sum(1 for _ in _UNCALCULATED.finditer(raw))
        self._down: dict[int, list[tuple[int, int]]] = {}  # by first row: column, and last row
        for count, merged in enumerate(_MERGED.finditer(raw)):
            if count == MAX_MERGED:
                break
            top, bottom = int(merged[2]), int(merged[4])
            if bottom > top:
                self._down.setdefault(top, []).append((_column(merged[1]), bottom))
        self._open: dict[int, tuple[int, str]] = {}

    def filled(self, number: int, row: Row) -> Row:
        """The row with what stands in merged cells that reach down into it."""
        for column, (bottom, text) in list(self._open.items()):
            if number > bottom:
                del self._open[column]
            elif text and any(row):
                row += [""] * (column + 1 - len(row))
                row[column] = row[column] or text
        for column, bottom in self._down.get(number, ()):
            if column < len(row):
                self._open[column] = (bottom, row[column])
        return row


def _rows(sheet: Any, seen: _Seen) -> Iterator[tuple[int, Row]]:
    """The rows with something in them, and their numbers."""
    sheet.reset_dimensions()  # what a file says of them may be wrong
    try:
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            row = seen.filled(number, [_text(cell) for cell in cells])
            if any(row):
                yield number, row
    except (Unusable, MemoryError):
        raise
    except Exception as error:
        raise broken() from error


def _add(pages: Pages, name: str, rows: Iterator[tuple[int, Row]]) -> None:
    """A sheet, which begins a page; what stands before its header are lines of their own."""
    pages.part(name)
    opening = ""
    for number, line in sheet_lines(rows, HEADER_WITHIN):
        pages.add(line, "\n", opening and f"{name}, from row {number}")
        opening = name


def _text(cell: Any) -> str:
    """A value as the sheet shows it, near enough to be found by it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "")
    if isinstance(value, datetime):
        is_day = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
        return value.date().isoformat() if is_day else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return " ".join(str(value).split())


def _number(value: float, form: str) -> str:
    if "%" in form:
        return f"{value * 100:.10g}%"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _column(letters: bytes) -> int:
    """From 0."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1
