"""Rows of a table as lines that read alone: each cell under the name of its column."""

from collections.abc import Sequence

MAX_HEADER_CHARACTERS = 80


def header_of(first: Sequence[str], following: Sequence[str] | None = None) -> list[str] | None:
    """The names of the columns, when the first row is one of names: short texts, no two alike, no numbers."""
    names = [" ".join(cell.split()) for cell in first]
    told = [name for name in names if name]
    if len(told) < 2 or len(told) * 2 < len(names) or len(set(told)) < len(told):
        return None
    if any(len(name) > MAX_HEADER_CHARACTERS or _is_number(name) for name in told):
        return None
    return names if following is None or any(following) else None


def row_line(header: Sequence[str] | None, cells: Sequence[str]) -> str:
    """One line of all that stands in the row."""
    parts = []
    for at, cell in enumerate(cells):
        if text := " ".join(cell.split()):
            name = header[at][:MAX_HEADER_CHARACTERS] if header and at < len(header) else ""
            parts.append(f"{name.rstrip(':')}: {text}" if name and name != text else text)
    return ("; " if header else " | ").join(parts)


def table_lines(rows: Sequence[Sequence[str]], has_header: bool | None = None) -> list[str]:
    """All rows of a small table; whether its first one names the columns, where that is known."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = None
    if len(rows) > 1 and has_header is not False:
        names = [" ".join(cell.split()) for cell in rows[0]]
        header = names if has_header else header_of(rows[0], rows[1])
    lines = [row_line(header, row) for row in (rows[1:] if header else rows)]
    return lines if header is None else [" | ".join(name for name in header if name), *lines]


def _is_number(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    return digits * 2 > len(text)
