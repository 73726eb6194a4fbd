"""JSON Lines, an object a line, and JSON, one list of objects: read object by object, so that no file is held whole.

Standard library only.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from finetune.data.cells import DECODER, Unreadable, read_cell
from finetune.data.errors import DatasetError, RowError
from finetune.data.table import MAX_CELL_CHARACTERS, Table, TableRow

LOOKED_AT = 100
"""Objects whose members are the columns."""
PIECE_CHARACTERS = 2**20
MOST_CHARACTERS = 4 * MAX_CELL_CHARACTERS
"""Of one object."""
OBJECT = 'an object a line: {"messages": [...]}'
_SPACE = re.compile(r"\s*")


def open_jsonl(path: Path, encoding: str) -> Table:
    """The table of a file with an object a line. Raises `DatasetError`."""
    return _table("JSON Lines", _lines(path, encoding))


def open_json(path: Path, encoding: str) -> Table:
    """The table of a file that is one list of objects. Raises `DatasetError`."""
    return _table("JSON", _items(path, encoding))


def _table(format: str, rows: Iterator[TableRow | RowError]) -> Table:
    first = list(islice(rows, LOOKED_AT))
    columns: dict[str, None] = {}
    for row in first:
        if isinstance(row, TableRow):
            columns |= dict.fromkeys(row.cells)
    return Table(format, list(columns), chain(first, rows))


def _lines(path: Path, encoding: str) -> Iterator[TableRow | RowError]:
    number = 0
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            while line := file.readline(MOST_CHARACTERS):
                if not line.strip():
                    continue
                number += 1
                if number == 1 and line.strip() == "{":
                    raise DatasetError("header", f"The file is one object over several lines. Send {OBJECT}")
                yield _row(number, line)
                if len(line) == MOST_CHARACTERS and not line.endswith("\n"):
                    return
    except UnicodeError as error:
        raise _not_text(error, number) from error


def _row(number: int, line: str) -> TableRow | RowError:
    if len(line) == MOST_CHARACTERS and not line.endswith("\n"):
        return _too_long(number)
    try:
        value = read_cell(line)
    except Unreadable as error:
        return RowError(number, "", f"The line is no JSON object: {error}.", OBJECT)
    return _cells(number, value)


def _cells(number: int, value: Any) -> TableRow | RowError:
    if not isinstance(value, dict):
        what = "a list" if isinstance(value, list) else f"a {type(value).__name__}"
        return RowError(number, "", f"It is {what}, not an object.", OBJECT)
    return TableRow(number, {str(name): cell for name, cell in value.items()})


def _items(path: Path, encoding: str) -> Iterator[TableRow | RowError]:
    number = 0
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            items = _Items(file)
            while (found := items.next()) is not items.END:
                number += 1
                yield _cells(number, found)
    except UnicodeError as error:
        raise _not_text(error, number) from error
    except Unreadable as error:
        reason = f"The list cannot be read on: {error}."
        yield RowError(number + 1, "", reason, "a list of objects")


class _Items:
    """The items of the one list of a file, from a buffer that holds one of them and a piece more."""

    END = object()

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._buffer = ""
        self._at = 0
        self._skip()
        self._at += 1  # the bracket

    def next(self) -> Any:
        """The next item, or `END` behind the list. Raises `Unreadable`."""
        if self._skip() == ",":
            self._at += 1
        if self._skip() == "]":
            return self.END
        while True:
            try:
                value, end = DECODER.raw_decode(self._buffer, self._at)
            except RecursionError:
                raise Unreadable("an object is nested too deeply") from None
            except ValueError as error:
                value, end, reason = None, None, str(error)
            if end is not None and (end < len(self._buffer) or not self._more()):
                self._at = end
                return value
            if end is None and not self._more():
                raise Unreadable(reason)

    def _skip(self) -> str:
        """Go to the next character that is no space; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def _more(self) -> bool:
        """Read on, what is done being forgotten; whether there was more."""
        rest = self._buffer[self._at :]
        if len(rest) > MOST_CHARACTERS:
            raise Unreadable(f"an object is longer than {MOST_CHARACTERS:,} characters")
        piece = self._file.read(max(PIECE_CHARACTERS, len(rest)))
        self._buffer, self._at = rest + piece, 0
        return bool(piece)


def _too_long(number: int) -> RowError:
    reason = f"The object is longer than {MOST_CHARACTERS:,} characters."
    return RowError(number, "", reason, OBJECT)


def _not_text(error: UnicodeError, number: int) -> DatasetError:
    what = f" (byte {error.object[error.start]:#04x})" if isinstance(error, UnicodeDecodeError) else ""
    return DatasetError("encoding", f"The file is not UTF-8 after row {number}{what}.")
