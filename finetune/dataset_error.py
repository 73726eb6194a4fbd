"""What can be wrong with an uploaded dataset, row by row. Standard library only; the api imports it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["not_csv", "encoding", "header", "rows", "empty", "too_many"]


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one data row (the first after the header is row 1; blank lines do not count)."""

    row: int
    column: str
    reason: str
    expected: str


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
