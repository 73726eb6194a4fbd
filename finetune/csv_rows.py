"""The training CSV: a `messages` column whose cells are lists of {"role", "content"}, read strictly.

Standard library only; the api imports it to refuse a file before a job exists. Strings come through unchanged, or
the file is refused with the row, the column and what was expected.
"""

import ast
import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

COLUMN = "messages"
ROLES = ("system", "user", "assistant", "tool")
MAX_CELL_CHARACTERS = 4 * 2**20
MAX_LITERAL_CHARACTERS = 2**18  # Python's parser needs some hundred bytes a character
REPORTED_ROWS = 20
COUNTED_ROWS = 1000

Kind = Literal["not_csv", "encoding", "header", "rows", "empty", "too_many"]
Message = dict[str, str]
Conversation = list[Message]

_EXPECTED_CELL = 'a list of turns: [{"role": "user", "content": "..."}, {"role": "assistant", ...}]'

_MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"GGUF": "a GGUF model",
    b"\x89PNG": "an image",
    b"GIF8": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one data row (the first after the header is row 1; blank lines do not count)."""

    row: int
    column: str
    reason: str
    expected: str


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation to learn from."""

    number: int
    messages: Conversation


@dataclass(frozen=True)
class DatasetError(Exception):
    """The file cannot be trained on. `rows` holds the first 20 bad rows, `count` how many there are."""

    kind: Kind
    detail: str
    rows: list[RowError] = field(default_factory=list)
    count: int = 0

    def __str__(self) -> str:
        return self.detail

    def row_fields(self) -> list[dict[str, Any]]:
        """The bad rows as plain mappings."""
        return [asdict(row) for row in self.rows]


def read_csv(path: Path, *, at_least: int = 2, at_most: int = 1_000_000) -> list[Row]:
    """All rows of a good file. Raises `DatasetError`."""
    return list(_good_rows(path, at_least, at_most))


def check_csv(path: Path, *, at_least: int = 2, at_most: int = 1_000_000) -> int:
    """The number of rows of a good file, without keeping them. Raises `DatasetError`."""
    return sum(1 for _ in _good_rows(path, at_least, at_most))


def _good_rows(path: Path, at_least: int, at_most: int) -> Iterator[Row]:
    bad: list[RowError] = []
    total = 0
    for row in _rows(path):
        total += 1
        if total > at_most:
            raise DatasetError("too_many", f"More than {at_most} rows. Split the file.")
        if isinstance(row, Row):
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


def _rows(path: Path) -> Iterator[Row | RowError]:
    encoding = _encoding(path)
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


def _encoding(path: Path) -> str:
    """The encoding by byte order mark, else UTF-8. Refuses what is no text."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip():
        raise DatasetError("empty", "The file is empty.")
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        raise DatasetError("encoding", "The file is UTF-32. Save it as UTF-8.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    what = _what_else(head)
    if what:
        raise DatasetError("not_csv", f"The file is {what}, not a CSV with a {COLUMN!r} column.")
    if b"\0" in head:
        raise DatasetError(
            "encoding", "The file is UTF-16 without a byte order mark. Save it as UTF-8."
        )
    return "utf-8-sig"


def _what_else(head: bytes) -> str | None:
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    if b"%PDF-" in head[:1024]:
        return "a PDF"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return "HTML or XML"
    first_line = text.partition(b"\n")[0].strip()
    if first_line in (b"{", b"[") or (first_line[:1] in (b"{", b"[") and _is_json(first_line)):
        return "JSON"
    nuls = head.count(0)
    one_sided = nuls in (head[::2].count(0), head[1::2].count(0))
    if nuls and not (one_sided and nuls > len(head) // 4):
        return "a binary file"
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b\0" for byte in head)
    return "a binary file" if controls * 20 > len(head) else None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


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


def _row(number: int, names: list[str], cells: list[str]) -> Row | RowError:
    if len(cells) != len(names):
        return RowError(
            number,
            COLUMN,
            f"The row has {len(cells)} cells, the header {len(names)}.",
            "as many cells as the header has; quote a cell that holds the delimiter",
        )
    try:
        return Row(number, _conversation(cells[names.index(COLUMN)]))
    except _Wrong as wrong:
        return RowError(number, COLUMN, wrong.reason, wrong.expected)


class _Wrong(Exception):
    def __init__(self, reason: str, expected: str = _EXPECTED_CELL) -> None:
        self.reason = reason
        self.expected = expected


def _conversation(cell: str) -> Conversation:
    turns = _parsed(cell)
    if not isinstance(turns, list):
        raise _Wrong(f"The cell is a {type(turns).__name__}, not a list.")
    if not turns:
        raise _Wrong("The list is empty.")
    messages = [_message(place, turn) for place, turn in enumerate(turns, 1)]
    for place, message in enumerate(messages, 1):
        if message["role"] == "system" and place > 1:
            raise _Wrong(f"Turn {place} is a system turn.", "a system turn only as the first")
    if not any(message["role"] == "assistant" for message in messages):
        raise _Wrong("Nothing to learn: no assistant turn.", "at least one assistant turn")
    if messages[0]["role"] == "assistant" and len(messages) == 1:
        raise _Wrong("The assistant turn answers nothing.", "a user turn before it")
    return messages


def _parsed(cell: str) -> Any:
    if not cell.strip():
        raise _Wrong("The cell is empty.")
    try:
        return json.loads(cell, object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise _Wrong("The cell is nested too deeply.") from None
    except ValueError as error:
        reason = f"{error}"
    if len(cell) > MAX_LITERAL_CHARACTERS:
        raise _Wrong(f"The cell is not JSON: {reason}.")
    try:
        return ast.literal_eval(cell.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise _Wrong(f"The cell is neither JSON ({reason}) nor a Python list.") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _Wrong(f"A turn has {name[:40]!r} twice.")
    return dict(pairs)


def _message(place: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise _Wrong(f"Turn {place} is a {type(turn).__name__}, not an object.")
    for name in ("role", "content"):
        if name not in turn:
            raise _Wrong(f"Turn {place} has no {name!r}.")
        if not isinstance(turn[name], str):
            raise _Wrong(f"The {name} of turn {place} is a {type(turn[name]).__name__}.")
    others = [str(name)[:40] for name in turn if name not in ("role", "content")]
    if others:
        raise _Wrong(f"Turn {place} has the unknown key {others[0]!r}.", "only role and content")
    if turn["role"] not in ROLES:
        raise _Wrong(
            f"Turn {place} has the unknown role {turn['role'][:40]!r}.",
            f"one of {', '.join(ROLES)}",
        )
    if not turn["content"].strip():
        raise _Wrong(f"The content of turn {place} is empty.", "text in every turn")
    if any("\ud800" <= character <= "\udfff" for character in turn["content"]):
        raise _Wrong(f"The content of turn {place} holds half a surrogate pair.", "valid Unicode")
    return {"role": turn["role"], "content": turn["content"]}
