"""A dataset file of any format and form, read row by row: what it is, its rows, and everything that is wrong with it.

Standard library only; the api imports it to refuse a file before a job exists. Memory does not grow with the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.data.csv import open_csv
from finetune.data.errors import DatasetError, RowError
from finetune.data.forms import RowReader
from finetune.data.jsonl import open_json, open_jsonl
from finetune.data.mapping import Kind, Understood, Wish, understand
from finetune.data.parquet import open_parquet
from finetune.data.rows import Fold, Row
from finetune.data.sniff import sniff
from finetune.data.table import Table, TableRow

REPORTED_ROWS = 20
COUNTED_ROWS = 1000
MOST_ROWS = 1_000_000
FEWEST_ROWS = 2
PLAIN = Wish()


@dataclass(slots=True)
class Reading:
    """A file that is being read. `counts` and `cut` are whole when its rows have been gone through."""

    format: str
    understood: Understood
    _table: Table
    _wish: Wish
    counts: dict[Fold, int] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    """Rows with a text of exactly the length at which spreadsheets cut."""

    @property
    def kind(self) -> Kind:
        """What its rows are."""
        return self.understood.form.kind

    def describe(self) -> dict[str, Any]:
        """What was understood, as plain values."""
        return {
            "format": self.format,
            "form": self.understood.form.name,
            "kind": self.kind,
            "columns": dict(self.understood.columns),
            "ignored_columns": list(self.understood.ignored),
        }

    def rows(
        self, *, at_least: int = FEWEST_ROWS, at_most: int = MOST_ROWS
    ) -> Iterator[tuple[Fold, Row]]:
        """Each good row with what it is for. Raises `DatasetError`, of bad rows when all are counted."""
        bad: list[RowError] = []
        total = 0
        for read in self._read():
            total += 1
            if total > at_most:
                raise DatasetError("too_many", f"More than {at_most} rows. Split the file.")
            if not isinstance(read, RowError):
                self.counts[read[0]] = self.counts.get(read[0], 0) + 1
                yield read
                continue
            bad.append(read)
            if len(bad) >= COUNTED_ROWS:
                break
        if bad:
            raise bad_rows(bad)
        if self.counts.get("train", 0) < at_least:
            raise self._too_few(total, at_least)

    def _read(self) -> Iterator[tuple[Fold, Row] | RowError]:
        reader = RowReader(self.understood, self._wish)
        for row in self._table.rows:
            if isinstance(row, TableRow):
                if len(self.cut) < REPORTED_ROWS and reader.cut_text(row):
                    self.cut.append(row.number)
                yield reader.read(row)
            else:
                yield row

    def _too_few(self, total: int, at_least: int) -> DatasetError:
        count = self.counts.get("train", 0)
        what = f"{count} {'row' if count == 1 else 'rows'}"
        what += " for training" if total > count else ""
        return DatasetError("empty", f"The file has {what}; at least {at_least} are needed.")


def open_dataset(path: Path, wish: Wish = PLAIN, kind: Kind | None = None) -> Reading:
    """Look at a file, and find out what its columns are; `kind` decides where they can be several things.

    Raises `DatasetError`.
    """
    sniffed = sniff(path)

    def fits(names: list[str]) -> bool:
        try:
            understand(names, wish, kind)
        except DatasetError:
            return False
        return True

    if sniffed.format == "parquet":
        table = open_parquet(path)
    elif sniffed.format == "csv":
        table = open_csv(path, sniffed.encoding, fits)
    else:
        opened = open_json if sniffed.format == "json" else open_jsonl
        table = opened(path, sniffed.encoding)
        _require_objects(table)
    understood = understand(table.columns, wish, kind)
    if wish.system and understood.form.kind == "text":
        raise DatasetError("header", "`system` is for conversations; these rows are texts.")
    return Reading(table.format, understood, table, wish)


def _require_objects(table: Table) -> None:
    """A file without one object in its first rows has no columns: say what is wrong with the rows instead."""
    if table.columns:
        return
    bad = [row for row in table.rows if isinstance(row, RowError)][:COUNTED_ROWS]
    if bad:
        raise bad_rows(bad)
    raise DatasetError("empty", "The file has no rows.")


def bad_rows(bad: list[RowError]) -> DatasetError:
    """What is wrong with a file of these rows; there may be more where they are `COUNTED_ROWS`."""
    first = bad[0]
    count = f"at least {len(bad)}" if len(bad) >= COUNTED_ROWS else str(len(bad))
    where = f", column {first.column!r}" if first.column else ""
    return DatasetError(
        "rows",
        f"{count} bad {'row' if len(bad) == 1 else 'rows'}. First: row {first.row}{where}: "
        f"{first.reason} Expected {first.expected}.",
        bad[:REPORTED_ROWS],
        len(bad),
    )
