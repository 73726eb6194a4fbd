"""The rows of a file, each cell as a text, in a file of ours that DuckDB reads; and what the cells said they were."""

import json
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from api.tables.types import Kind, is_text
from finetune.data.errors import DatasetError, RowError
from finetune.data.reading import COUNTED_ROWS, bad_rows
from finetune.data.table import TableRow

MOST_COLUMNS = 1000
MOST_CELLS = 20_000_000
MAX_COLUMN_CHARACTERS = 200


class Spool:
    """One such file. `columns` grows with the rows; of each, `kinds` holds all that was seen."""

    def __init__(self, path: Path, most_rows: int) -> None:
        self.path = path
        self.columns: dict[str, str] = {}
        """By the name in lower case, as it was first written."""
        self.kinds: list[set[Kind]] = []
        self.rows = 0
        self._most_rows = most_rows
        self._places: dict[str, int] = {}

    def fill(
        self, columns: Iterable[str], rows: Iterable[TableRow | RowError], *, are_cells: bool
    ) -> None:
        """Write them all. Raises `DatasetError`, of bad rows when all are counted.

        `are_cells`: every value is the text of a cell, and an empty one is none.
        """
        for name in columns:
            if name:
                self._place(name)
        bad: list[RowError] = []
        with self.path.open("w", encoding="utf-8") as file:
            for row in rows:
                wrong = row if isinstance(row, RowError) else self._written(row, file, are_cells)
                if wrong:
                    bad.append(wrong)
                if len(bad) >= COUNTED_ROWS:
                    break
        if bad:
            raise bad_rows(bad)

    def _written(self, row: TableRow, file: Any, are_cells: bool) -> RowError | None:
        line: dict[str, Any] = {"r": row.number}
        for name, value in row.cells.items():
            if value is None or (are_cells and value == ""):
                continue
            if not name.strip():
                return RowError(
                    row.number, "", "A cell stands under no name.", "a name for its column"
                )
            place = self._place(name)
            if f"c{place}" in line:
                return RowError(
                    row.number, name[:40], "Two names differ in case alone.", "one of them"
                )
            kind, text = _told(value)
            if "\0" in text or (not text.isascii() and not is_text(text)):
                reason = "The cell holds NUL, or half a surrogate pair."
                return RowError(row.number, name[:40], reason, "a text")
            self.kinds[place].add("cell" if are_cells else kind)
            line[f"c{place}"] = text
        self.rows += 1
        self._require_room()
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return None

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            key = name.strip().lower()
            if key not in self.columns:
                self._add(key, name.strip())
            place = self._places[name] = list(self.columns).index(key)
        return place

    def _add(self, key: str, name: str) -> None:
        if len(self.columns) == MOST_COLUMNS:
            raise DatasetError("too_many", f"More than {MOST_COLUMNS} columns.")
        require_column_name(name)
        self.columns[key] = name
        self.kinds.append(set())

    def _require_room(self) -> None:
        if self.rows > self._most_rows:
            raise DatasetError("too_many", f"More than {self._most_rows} rows. Split the file.")
        if self.rows * len(self.columns) > MOST_CELLS:
            raise DatasetError("too_many", f"More than {MOST_CELLS:,} cells. Split the file.")


def require_column_name(name: str) -> None:
    """`DatasetError` for what is no name of a column."""
    if not name.strip() or len(name) > MAX_COLUMN_CHARACTERS or not name.isprintable():
        raise DatasetError(
            "header",
            f"The name of a column has 1 to {MAX_COLUMN_CHARACTERS} characters of one line, and {name[:40]!r} has "
            "others.",
        )


def _told(value: Any) -> tuple[Kind, str]:
    """What a value is, and how it is written down."""
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, int | float):
        return "number", str(value)
    if isinstance(value, datetime):
        return "time", value.isoformat(" ")
    if isinstance(value, date):
        return "time", value.isoformat()
    return "other", json.dumps(value, ensure_ascii=False)
