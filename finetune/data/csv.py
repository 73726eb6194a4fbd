"""CSV: the delimiter, the header and the rows, read strictly.

Standard library only. Texts come through unchanged, or the file is refused with the row and what was expected.
"""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from finetune.data.errors import DatasetError, RowError
from finetune.data.sniff import HEAD_BYTES
from finetune.data.table import MAX_CELL_CHARACTERS, Table, TableRow, name_key

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAID = re.compile(r"sep=(.)")
"""A first line by which Excel is told the delimiter."""


def open_csv(path: Path, encoding: str, fits: Callable[[list[str]], bool]) -> Table:
    """The table with the delimiter under which its columns fit, else under which it has the most columns.

    Raises `DatasetError`.
    """
    found: dict[str, list[str]] = {}
    reason = ""
    try:
        first = _first_line(path, encoding)
        said = SAID.fullmatch(first.strip(' "'))
        for delimiter in [said[1]] if said else DELIMITERS:
            lines = _lines(path, encoding, delimiter, skipping=1 if said else 0)
            try:
                found[delimiter] = next(lines, [])
            except csv.Error as error:
                reason = _csv_reason(error)
    except UnicodeError as error:
        raise _not_text(error, 0, encoding) from error
    if not found:
        raise DatasetError(
            "header", f"The first line cannot be read as names of columns: {reason}."
        )
    fitting = [delimiter for delimiter, names in found.items() if fits(names)]
    delimiter = fitting[0] if fitting else max(found, key=lambda one: len(found[one]))
    names = [name.strip() for name in found[delimiter]]
    if not any(names):
        raise DatasetError("empty", "The file is empty.")
    _require_names(names)
    rows = _rows(path, encoding, delimiter, names, skipping=2 if said else 1)
    told = DELIMITERS.get(delimiter, repr(delimiter))
    return Table(f"CSV ({told})" if delimiter != "," else "CSV", names, rows)


def _first_line(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding) as file:
        head = file.read(HEAD_BYTES).strip()
    if not head:
        raise DatasetError("empty", "The file is empty.")
    return head.splitlines()[0]


def _lines(path: Path, encoding: str, delimiter: str, skipping: int) -> Iterator[list[str]]:
    """The cells of each line that is not blank, behind so many of them."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with path.open(encoding=encoding, newline="") as file:
        for cells in csv.reader(file, delimiter=delimiter, strict=True):
            if not _is_blank(cells):
                if skipping:
                    skipping -= 1
                    continue
                yield cells


def _require_names(names: list[str]) -> None:
    keys = [name_key(name) for name in names if name]
    twice = next((name for name in names if keys.count(name_key(name)) > 1), None)
    if twice is not None:
        count = keys.count(name_key(twice))
        raise DatasetError("header", f"The header names the column {twice[:40]!r} {count} times.")


def _rows(
    path: Path, encoding: str, delimiter: str, names: list[str], skipping: int
) -> Iterator[TableRow | RowError]:
    number = 0
    try:
        for cells in _lines(path, encoding, delimiter, skipping):
            number += 1
            if len(cells) == len(names):
                yield TableRow(number, dict(zip(names, cells, strict=True)))
            else:
                yield _wrong_width(number, names, cells)
    except csv.Error as error:
        yield RowError(
            number + 1,
            names[0],
            f"The row cannot be read: {_csv_reason(error)}.",
            'cells in double quotes, each quote inside a cell doubled ("")',
        )
    except UnicodeError as error:
        raise _not_text(error, number, encoding) from error


def _wrong_width(number: int, names: list[str], cells: list[str]) -> RowError:
    return RowError(
        number,
        names[0],
        f"The row has {len(cells)} cells, the header {len(names)}.",
        "as many cells as the header has; quote a cell that holds the delimiter",
    )


def _not_text(error: UnicodeError, number: int, encoding: str) -> DatasetError:
    what = f"after row {number}" if number else "in its first rows"
    if isinstance(error, UnicodeDecodeError):
        what = f"byte {error.object[error.start]:#04x} {what}"
    is_utf8 = encoding.startswith("utf-8")
    return DatasetError(
        "encoding",
        f"The file is not {'UTF-8' if is_utf8 else 'whole UTF-16'} ({what}). "
        "Save it as UTF-8, or as UTF-16 with a byte order mark.",
    )


def _csv_reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quote is opened and never closed"
    if "field larger" in text:
        return f"a cell is longer than {MAX_CELL_CHARACTERS:,} characters, or a quote is never closed"
    return text


def _is_blank(cells: list[str]) -> bool:
    return not cells or (len(cells) == 1 and cells[0] != "" and not cells[0].strip())
