"""The training CSV: a `messages` column whose cells are lists of {"role", "content"}, read strictly.

Standard library only; the api imports it to refuse a file before a job exists. Strings come through unchanged, or
the file is refused with the row, the column and what was expected.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from finetune.data.sniff import encoding_of
from finetune.data.errors import DatasetError, RowError
from finetune.data.rows import Chat, Conversation
from finetune.data.turns import NotTurns, read_turns

__all__ = ["DatasetError", "RowError", "check_csv", "read_csv"]

COLUMN = "messages"
MAX_CELL_CHARACTERS = 4 * 2**20
REPORTED_ROWS = 20
COUNTED_ROWS = 1000


def read_csv(path: Path, *, at_least: int = 2, at_most: int = 1_000_000) -> list[Chat]:
    """All rows of a good file. Raises `DatasetError`."""
    return list(_good_rows(path, at_least, at_most))


def check_csv(path: Path, *, at_least: int = 2, at_most: int = 1_000_000) -> int:
    """The number of rows of a good file, without keeping them. Raises `DatasetError`."""
    return sum(1 for _ in _good_rows(path, at_least, at_most))


def _good_rows(path: Path, at_least: int, at_most: int) -> Iterator[Chat]:
    bad: list[RowError] = []
    total = 0
    for row in _rows(path):
        total += 1
        if total > at_most:
            raise DatasetError("too_many", f"More than {at_most} rows. Split the file.")
        if isinstance(row, Chat):
            yield row
            continue
        bad.append(row)
        if len(bad) >= COUNTED_ROWS:
            break
    if bad:
        first = bad[0]
        count = f"at least {len(bad)}" if len(bad) >= COUNTED_ROWS else str(len(bad))
        raise DatasetError(
            "rows",
            f"{count} bad {'row' if len(bad) == 1 else 'rows'}. First: row {first.row}, column "
            f"{first.column!r}: {first.reason} Expected {first.expected}.",
            bad[:REPORTED_ROWS],
            len(bad),
        )
    if total < at_least:
        raise DatasetError(
            "empty",
            f"The file has {total} {'row' if total == 1 else 'rows'} under its header; "
            f"at least {at_least} are needed.",
        )


def _rows(path: Path) -> Iterator[Chat | RowError]:
    encoding = encoding_of(path)
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    number = 0
    try:
        delimiter, names = _header(path, encoding)
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            next(cells for cells in reader if not _is_blank(cells))
            for cells in reader:
                if _is_blank(cells):
                    continue
                number += 1
                yield _row(number, names, cells)
    except csv.Error as error:
        yield RowError(
            number + 1,
            COLUMN,
            f"The row cannot be read: {_csv_reason(error)}.",
            'cells in double quotes, each quote inside a cell doubled ("")',
        )
    except UnicodeDecodeError as error:
        raise DatasetError(
            "encoding",
            f"The file is not UTF-8 (byte {error.object[error.start]:#04x} after row {number}). "
            "Save it as UTF-8, or as UTF-16 with a byte order mark.",
        ) from error


def _csv_reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quote is opened and never closed"
    if "field larger" in text:
        return f"a cell is longer than {MAX_CELL_CHARACTERS} characters, or a quote is never closed"
    return text


def _is_blank(cells: list[str]) -> bool:
    return not cells or (len(cells) == 1 and cells[0] != "" and not cells[0].strip())


def _header(path: Path, encoding: str) -> tuple[str, list[str]]:
    """The delimiter under which the column is there, and the names. Raises `DatasetError`."""
    found: dict[str, list[str]] = {}
    for delimiter in (",", ";", "\t"):
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            try:
                names = next((cells for cells in reader if not _is_blank(cells)), None)
            except csv.Error:
                continue
        if names is None:
            raise DatasetError("empty", "The file is empty.")
        found[delimiter] = names
        if names.count(COLUMN) == 1:
            return delimiter, names
    names = max(found.values(), key=len, default=[])
    shown = ", ".join(repr(name[:40]) for name in names[:10]) or "nothing that can be read"
    if names.count(COLUMN) > 1:
        problem = f"The header names the column {COLUMN!r} {names.count(COLUMN)} times."
    elif COLUMN in [name.strip().lower() for name in names]:
        problem = f"The column must be spelled exactly {COLUMN!r}; the header says {shown}."
    else:
        problem = f"The header has no column {COLUMN!r}; it says {shown}."
    raise DatasetError("header", f"{problem} Expected one column {COLUMN!r} in the first line.")


def _row(number: int, names: list[str], cells: list[str]) -> Chat | RowError:
    if len(cells) != len(names):
        return RowError(
            number,
            COLUMN,
            f"The row has {len(cells)} cells, the header {len(names)}.",
            "as many cells as the header has; quote a cell that holds the delimiter",
        )
    try:
        return Chat(number, read_turns(cells[names.index(COLUMN)]))
    except NotTurns as wrong:
        return RowError(number, COLUMN, wrong.reason, wrong.expected)
