"""Rows of a table, or of a database, as the file that a fine-tune learns from: copied when it is submitted."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from api.datasets.receiving import Upload
from api.tables.databases import Databases
from api.tables.rows import export_rows
from api.tables.select_child import with_fold
from api.tables.selected import write_selected
from api.tables.shelf import Tables


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows: those of a table here, or of a table or a SELECT of a database. `fold` is the column that says what
    each is for.
    """

    table: str | None = None
    database: str | None = None
    select: str | None = None
    fold: str | None = None

    @property
    def name(self) -> str:
        """What the job calls where they came from."""
        where = f"database {self.database}" if self.database else "tables"
        return f"{where}: {self.table or self.select}"[:200]


class Learned:
    """The rows of a workspace that can be learned."""

    def __init__(
        self, tables: Tables, databases: Databases, workspace: str, most_rows: int
    ) -> None:
        self._tables = tables
        self._databases = databases
        self._workspace = workspace
        self._most_rows = most_rows

    @contextlib.asynccontextmanager
    async def copied(self, rows: Rows) -> AsyncIterator[Upload]:
        """As they are now, as if they had been sent as JSON Lines. `errors.NotFound`, `QueryUnusable`."""
        with self._tables.scratch() as folder:
            path = folder / "rows.jsonl"
            await self._databases.in_thread(lambda: self._copy(rows, path))
            with path.open("rb") as file:
                yield Upload(file, rows.name)

    def _copy(self, rows: Rows, path: Path) -> None:
        if rows.database is None:
            table = self._tables.find(rows.table or "")
            columns = [one.name for one in table.columns]
            names = with_fold(columns, rows.fold)
            pairs = list(zip(columns, names, strict=True))
            return export_rows(self._tables.path(table.id), pairs, path)
        database = self._databases.find(rows.database, self._workspace)
        sql = rows.select or database.all_of(rows.table or "")
        write_selected(database, sql, path, self._most_rows, rows.fold)
