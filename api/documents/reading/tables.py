"""Rows of a table as lines that read alone: each cell under the name of its column."""

from collections.abc import Iterator, Sequence
from itertools import islice

MAX_HEADER_CHARACTERS = 80


def header_of(row: Sequence[str]) -> list[str] | None:
    """The names of the columns, when the row is one of names: short texts, no two alike, no numbers."""
    names = [" ".join(cell.split()) for cell in row]
    while names and not names[-1]:
        names.pop()
    told = [name for name in names if name]
    if len(told) < 2 or len(told) * 2 < len(names) or len(set(told)) < len(told):
        return None
    if any(len(name) > MAX_HEADER_CHARACTERS or _is_number(name) for name in told):
        return None
    return names


def row_line(header: Sequence[str] | None, cells: Sequence[str]) -> str:
    """One line of all that stands in the row."""
    parts = []
    for at, cell in enumerate(cells):
        if text := " ".join(cell.split()):
            name = header[at][:MAX_HEADER_CHARACTERS] if header and at < len(header) else ""
            parts.append(f"{name.rstrip(':')}: {text}" if name and name != text else text)
    return ("; " if header else " | ").join(parts)


def sheet_lines(
    rows: Iterator[tuple[int, Sequence[str]]], header_within: int
) -> Iterator[tuple[int, str]]:
    """Numbered rows of a long table; the first of them that names columns is the header of those below it."""
    first = list(islice(rows, header_within + 1))
    header: Sequence[str] | None = None
    for at, (number, row) in enumerate(first):
        yield number, row_line(header, row)
        if header is None and at < min(header_within, len(first) - 1):
            header = header_of(row)
    for number, row in rows:
        yield number, row_line(header, row)


def table_lines(rows: Sequence[Sequence[str]], has_header: bool | None = None) -> list[str]:
    """All rows of a small table; whether its first one names the columns, where that is known."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = None
    if len(rows) > 1 and has_header is not False:
        names = [" ".join(cell.split()) for cell in rows[0]]
        header = names if has_header else header_of(rows[0])
    lines = [row_line(header, row) for row in (rows[1:] if header else rows)]
    return lines if header is None else [" | ".join(name for name in header if name), *lines]


def _is_number(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    return digits * 2 > len(text)
