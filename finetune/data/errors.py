"""What can be wrong with an uploaded dataset, row by row. Standard library only; the api imports it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["no_dataset", "encoding", "header", "rows", "empty", "too_many", "no_reader"]
"""`no_dataset`: the file is of another kind; `no_reader`: this installation cannot read its format."""


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one data row (the first under the header is row 1; blank lines do not count)."""

    row: int
    column: str
    reason: str
    expected: str


class DatasetError(Exception):
    """The file cannot be trained on. `rows` holds the first 20 bad rows, `count` how many there are."""

    def __init__(
        self, kind: Kind, detail: str, rows: Sequence[RowError] = (), count: int = 0
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.rows = list(rows)
        self.count = count

    def row_fields(self) -> list[dict[str, Any]]:
        """The bad rows as plain mappings."""
        return [asdict(row) for row in self.rows]
