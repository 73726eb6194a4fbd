"""What a model is told of tables: their columns with types, as SQL would make them, and their first rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from api.tables.databases import Database
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
    """Tables and views of a database, `MAX_TABLES` of them. Blocking."""
    with database.reading() as connection:
        seen = sa.inspect(connection)
        names = [*seen.get_table_names(), *seen.get_view_names()][:MAX_TABLES]
        return "\n\n".join(_of_database(database, connection, seen, name) for name in names)


def _of_database(
    database: Database, connection: sa.Connection, seen: sa.Inspector, name: str
) -> str:
    columns = [(one["name"], str(one["type"])) for one in seen.get_columns(name)]
    names = [one for one, _ in columns[:MAX_COLUMNS]]
    shown: Any = database.bounded([sa.column(one) for one in names], MAX_ROW_BYTES)
    rows = connection.execute(sa.select(*shown).select_from(sa.table(name)).limit(FIRST_ROWS))
    return _described(
        name,
        columns,
        [dict(zip(names, map(plain, cells), strict=True)) for *cells, fits in rows if fits],
        "its first rows:",
    )


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
