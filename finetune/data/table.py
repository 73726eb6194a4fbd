"""What every reader of a format gives: the names of the columns, and row after row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from finetune.data.errors import RowError

MAX_CELL_CHARACTERS = 4 * 2**20


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its number, the first being 1, and its cells by column; texts, or values where the format has them."""

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """An opened file. `rows` can be gone through once and keeps none of them."""

    format: str
    columns: list[str]
    rows: Iterator[TableRow | RowError]


def name_key(name: str) -> str:
    """What the names of columns are compared by: case and spaces around them do not matter."""
    return name.strip().casefold()
