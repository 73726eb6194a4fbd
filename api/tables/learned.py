"""Rows of a table, or of a database, as the file that a fine-tune learns from: copied when it is submitted."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.datasets.receiving import Upload
from api.names import MAX_NAME_CHARACTERS
from api.tables.databases import Databases
from api.tables.rows import export_rows
from api.tables.select_child import with_fold
from api.tables.selected import write_selected
from api.tables.shelf import Tables

Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]


class TrainTable(BaseModel):
    """Rows that are learned in the place of a file: of a table, or of a database that the settings name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Name | None = Field(None, description="One of `/tables`, or a table of the `database`.")
    database: Name | None = None
    select: str | None = Field(
        None,
        max_length=100_000,
        description="One SELECT over the `database`, in the place of `table`.",
    )
    fold: Name | None = Field(
        None, description="The column that says what a row is for, where it is not called `fold`."
    )

    @model_validator(mode="after")
    def require_rows(self) -> "TrainTable":
        """Raises `ValueError` where it does not say which rows."""
        if (self.table is None) == (self.select is None):
            raise ValueError("Name a `table`, or with a `database` send a `select`.")
        if self.select is not None and self.database is None:
            raise ValueError("A `select` needs the `database` that it reads.")
        return self

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
    async def copied(self, rows: TrainTable) -> AsyncIterator[Upload]:
        """As they are now, as if they had been sent as JSON Lines. Cancelling it ends the copying.

        `errors.NotFound`, `QueryUnusable`.
        """
        with self._tables.scratch() as folder:
            path = folder / "rows.jsonl"
            async with self._databases.copying():
                await self._copy(rows, path)
            with path.open("rb") as file:
                yield Upload(file, rows.name)

    async def _copy(self, rows: TrainTable, path: Path) -> None:
        if rows.database is None:
            table = await self._tables.get(rows.table or "")
            columns = [one.name for one in table.columns]
            names = with_fold(columns, rows.fold)
            pairs = list(zip(columns, names, strict=True))
            source = await run_sync(self._tables.path, table.id)
            return await export_rows(source, pairs, path)
        database = self._databases.find(rows.database, self._workspace)
        sql = rows.select or database.all_of(rows.table or "")
        await write_selected(database, sql, path, self._most_rows, rows.fold)
