"""What a model is told of tables: their columns with types, as SQL would make them, and their first rows."""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from api.tables.databases import Database
from api.tables.refusals import QueryTooSlow, QueryUnusable, ValueUnreadable
from api.tables.shelf import Table
from api.tables.sql_child import plain, sql_name
from api.tables.types import TOLD

MAX_TABLES = 20
MAX_COLUMNS = 200
FIRST_ROWS = 3
MAX_CELL_CHARACTERS = 80
MAX_ROW_BYTES = 2**20
"""Of a database, for a row that is told: a larger one is left out."""
DIALECTS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def of_tables(tables: Iterable[Table]) -> str:
    """Tables kept here, `MAX_TABLES` of them."""
    return "\n\n".join(
        _described(
            table.name,
            [(one.name, TOLD[one.type].duckdb) for one in table.columns],
            table.first_rows,
            f"{table.rows} rows; the first:",
        )
        for table in islice(tables, MAX_TABLES)
    )


def of_database(database: Database) -> str:
    """Tables and views of a database, `MAX_TABLES` of them, without those that its user may not read, and views over
    what is gone. Blocking; `QueryTooSlow`, or `QueryUnusable` where none can be read.
    """
    with database.reading() as connection:
        seen = sa.inspect(connection)
        names = [*seen.get_table_names(), *seen.get_view_names()][:MAX_TABLES]
    told: list[str] = []
    refused: QueryUnusable | None = None
    for name in names:
        try:
            told.append(_of_table(database, name))
        except QueryTooSlow:
            raise
        except QueryUnusable as error:
            refused = error
    if refused and not told:
        raise refused
    return "\n\n".join(told)


def _of_table(database: Database, name: str) -> str:
    with database.reading() as connection:
        seen = sa.inspect(connection).get_columns(name)
    columns = [(one["name"], str(one["type"])) for one in seen]
    return _described(name, columns, _first_rows(database, name, columns), "its first rows:")


def _first_rows(
    database: Database, table: str, columns: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Those that can be read and are not too large."""
    names = [one for one, _ in columns[:MAX_COLUMNS]]
    shown: Any = database.bounded([sa.column(one) for one in names], MAX_ROW_BYTES)
    rows = sa.select(*shown).select_from(sa.table(table))
    try:
        found = _read(database, rows.limit(FIRST_ROWS))
    except ValueUnreadable:
        found = []
        for place in range(FIRST_ROWS):
            with contextlib.suppress(ValueUnreadable):
                found += _read(database, rows.limit(1).offset(place))
    return [dict(zip(names, map(plain, cells), strict=True)) for *cells, fits in found if fits]


def _read(database: Database, rows: "sa.Select[Any]") -> list[Any]:
    with database.reading() as connection:
        return list(connection.execute(rows))


def _described(
    name: str, columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]], head: str
) -> str:
    shown = columns[:MAX_COLUMNS]
    told = ", ".join(f"{quoted(column)} {type}" for column, type in shown)
    lines = [f"CREATE TABLE {quoted(name)} ({told}); -- {head}"]
    lines += [f"-- {json.dumps(_short(row), ensure_ascii=False)}" for row in rows[:FIRST_ROWS]]
    return "\n".join(lines)


def quoted(name: str) -> str:
    """A name as SQL has it; plain ones stand without quotes."""
    is_plain = name.isascii() and name.isidentifier() and name == name.lower()
    return name if is_plain else sql_name(name)


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _shortened(value) for name, value in islice(row.items(), MAX_COLUMNS)}


def _shortened(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
    is_long = isinstance(text, str) and len(text) > MAX_CELL_CHARACTERS
    return text[:MAX_CELL_CHARACTERS] + "..." if is_long else value
