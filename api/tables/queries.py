"""Queries of a workspace: over its tables, or over a database that the settings name; and what can be asked about."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anyio.to_thread import run_sync

from api.tables import described
from api.tables.databases import Database, Databases
from api.tables.model_calls import ModelCalls
from api.tables.refusals import QueryUnusable, TableNotFound
from api.tables.selected import first_rows
from api.tables.shelf import Table, Tables
from api.tables.sql import Rows, Sql

MAX_TABLES = 100
FUNCTION = re.compile(r"\bllm_(chat|json|embed)\s*\(", re.IGNORECASE)
GUESS = re.compile(r'(Table with name .+ does not exist!)\nDid you mean ".+"\?')
"""What DuckDB says of a table where it sees none: it can only mean one of its own."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a query sees: a database, or tables by name; none named means those that it speaks of."""

    database: str = ""
    tables: Sequence[str] = ()


class Queries:
    """Runs the queries of a workspace."""

    def __init__(self, sql: Sql, tables: Tables, databases: Databases, workspace: str) -> None:
        self.sql = sql
        self._tables = tables
        self._databases = databases
        self._workspace = workspace

    def database(self, name: str) -> Database:
        """One that the workspace may name; `DatabaseNotFound`."""
        return self._databases.find(name, self._workspace)

    async def run(
        self, query: str, scope: Scope, limit: int, calls: ModelCalls | None = None
    ) -> Rows:
        """The first `limit` rows. `TableNotFound`, `DatabaseNotFound`, `QueryUnusable`."""
        if not scope.database:
            seen = await run_sync(self._seen, query, scope.tables)
            try:
                return await self.sql.run(query, seen, limit, calls)
            except QueryUnusable as error:
                raise (error if seen else _of_no_table(error)) from None
        database = self.database(scope.database)
        if function := FUNCTION.search(query):
            raise QueryUnusable(
                f"llm_{function[1].lower()} is a function of tables, and {database.name!r} is a database. Copy what it "
                "is to be asked about into a table first (POST /tables).",
                where="query",
            )
        async with self.sql.turn(), self._databases.place():
            return await first_rows(database, query, limit)

    async def described(self, scope: Scope) -> tuple[Scope, str, str]:
        """What a model is told that shall write a query: the tables that it may speak of, and whose SQL it is.

        Where neither a database nor tables are named, the newest tables. `errors.NotFound` where there is none.
        """
        if scope.database:
            database = self.database(scope.database)
            async with self.sql.turn():
                tables = await self._databases.in_thread(lambda: described.of_database(database))
            return scope, tables, described.DIALECTS[database.kind]
        found = await run_sync(self._named, scope.tables)
        if not found:
            raise TableNotFound("There is no table to ask about. `POST /tables` adds one.")
        names = [one.id for one in found]
        return replace(scope, tables=names), described.of_tables(found), "DuckDB"

    def _named(self, names: Sequence[str]) -> list[Table]:
        if names:
            return [self._tables.find(name) for name in names]
        return self._tables.all()[: described.MAX_TABLES]

    def _seen(self, query: str, names: Sequence[str]) -> Mapping[str, Path]:
        """The files of the tables by name. A query speaks of a table where its name stands in it."""
        if names:
            found = self._named(names)
        else:
            words = set(re.findall(r"\w+", query.lower()))
            found = [one for one in self._tables.all() if one.key in words][:MAX_TABLES]
        return {one.name: self._tables.path(one.id) for one in found}


def _of_no_table(error: QueryUnusable) -> QueryUnusable:
    """The same of a query that speaks of no table that is there."""
    told = GUESS.sub(r"\1 `GET /tables` lists those that there are.", error.detail)
    return error if told == error.detail else QueryUnusable(told, where="query")
