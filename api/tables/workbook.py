"""A sheet of a workbook as a table: its first row with something in it names the columns."""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from api.documents.reading.package import Package
from api.documents.reading.values import Unusable
from api.documents.reading.xlsx import opened
from finetune.data.errors import DatasetError, RowError
from finetune.data.table import Table, TableRow, name_key


def open_sheet(file: str, sheet: str | None) -> Table:
    """The sheet of that name, the first that is shown without one. Raises `DatasetError`."""
    try:
        Package(file)  # bounds what it unfolds to
        book = opened(file)
        rows = _rows(_sheet_of(book, sheet))
        _, header = next(rows, (0, []))
    except Unusable as error:
        raise DatasetError(
            "no_dataset", f"The workbook cannot be read: {error.args[-1]}"
        ) from error
    names = ["" if cell is None else str(cell).strip() for cell in header]
    if not any(names):
        raise DatasetError("empty", "The sheet is empty.")
    keys = [name_key(one) for one in names if one]
    if twice := next((one for one in names if one and keys.count(name_key(one)) > 1), None):
        raise DatasetError("header", f"The header names the column {twice[:40]!r} more than once.")
    return Table("XLSX", names, _cells(rows, names))


def _sheet_of(book: Any, name: str | None) -> Any:
    shown = {one.title: one for one in book.worksheets if one.sheet_state == "visible"}
    if not shown:
        raise DatasetError("empty", "The workbook has no sheet that is shown.")
    if name is None:
        return next(iter(shown.values()))
    if name not in shown:
        known = ", ".join(map(repr, shown))[:500]
        raise DatasetError("header", f"The workbook has no sheet {name[:40]!r}. Sheets: {known}.")
    return shown[name]


def _rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """The rows with something in them, and their numbers in the sheet."""
    sheet.reset_dimensions()  # what a file says of them may be wrong
    try:
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if any(cell not in (None, "") for cell in cells):
                yield number, list(cells)
    except (Unusable, MemoryError):
        raise
    except Exception as error:  # of a damaged file openpyxl raises whatever its parts lead to
        raise DatasetError("no_dataset", "The workbook is damaged. Save it anew.") from error


def _cells(
    rows: Iterator[tuple[int, list[Any]]], names: list[str]
) -> Iterator[TableRow | RowError]:
    for number, (_, cells) in enumerate(rows, start=1):
        if any(cell not in (None, "") for cell in cells[len(names) :]):
            reason = f"The row has {len(cells)} cells, the header {len(names)}."
            yield RowError(number, names[0], reason, "no cell right of the header's last one")
        else:
            yield TableRow(number, dict(zip(names, map(_plain, cells), strict=False)))


def _plain(value: Any) -> Any:
    """A day without a time is a day; what JSON has no word for becomes a text."""
    if isinstance(value, datetime) and value.time() == time():
        return value.date()
    return value if value is None or isinstance(value, bool | int | float | date) else str(value)
