"""The process that works over the Parquet file of a table: `read`, `count`, `export` rows, `join` what came of them.

    python -m api.tables.rows_child REQUEST

The request is JSON; so is each line of the answer. A row is known by its place in the file, from 0.
"""

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from api.tables.duck import opened, written
from api.tables.sql_child import sql_name, sql_text
from api.tables.types import PLACE, TOLD, cast

PAGE_ROWS = 1000
Database = duckdb.DuckDBPyConnection


def main(said: str) -> int:
    """Answer one request, as far as somebody listens."""
    request = json.loads(said)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(opened(Path(folder))) as database,
    ):
        try:
            for line in DOES[request["do"]](database, request):
                sys.stdout.write(json.dumps(line) + "\n")
        except BrokenPipeError:
            sys.stderr.close()
    return 0


def _read(database: Database, request: Mapping[str, Any]) -> Iterator[Any]:
    """`[place, {column: text or null}]` of each row, where the column `empty` is NULL if one is named."""
    columns = [sql_name(one) for one in request["columns"]]
    texts = ", ".join([PLACE, *(f"CAST({one} AS VARCHAR)" for one in columns)])
    found = database.execute(f"SELECT {texts} FROM {_rows(request)} ORDER BY {PLACE}")
    while page := found.fetchmany(PAGE_ROWS):
        for place, *cells in page:
            yield [place, dict(zip(request["columns"], cells, strict=True))]


def _count(database: Database, request: Mapping[str, Any]) -> Iterator[Any]:
    """How many those are."""
    (count,) = database.execute(f"SELECT count(*) FROM {_rows(request)}").fetchone() or (0,)
    yield count


def _join(database: Database, request: Mapping[str, Any]) -> Iterator[Any]:
    """Write the table with the outcomes in a column: where that is NULL, or which is new. What the table is then."""
    into, type = request["into"], request["type"]
    columns = {one["name"]: one["type"] for one in request["columns"]}
    value = cast("o.value", type)
    shown = [sql_name(one) for one in columns]
    if into in columns:
        place = list(columns).index(into)
        shown[place] = f"coalesce(t.{sql_name(into)}, {value}) AS {sql_name(into)}"
    else:
        shown.append(f"CAST({value} AS {TOLD[type].duckdb}) AS {sql_name(into)}")
    outcomes = (
        f"read_json({sql_text(request['outcomes'])}, format='newline_delimited', "
        "columns={custom_id: 'BIGINT', value: 'VARCHAR'})"
    )
    select = (
        f"SELECT {', '.join(shown)} FROM read_parquet({sql_text(request['path'])}, {PLACE}=true) t "
        f"LEFT JOIN {outcomes} o ON o.custom_id = t.{PLACE} ORDER BY t.{PLACE}"
    )
    columns.setdefault(into, type)
    yield written(database, select, list(columns), list(columns.values()), request["target"])


def _export(database: Database, request: Mapping[str, Any]) -> Iterator[Any]:
    """Write all rows as JSON Lines, each column under its other name. That it is done."""
    shown = [f"{sql_name(has)} AS {sql_name(name)}" for has, name in request["names"]]
    rows = f"read_parquet({sql_text(request['path'])})"
    database.execute(
        f"COPY (SELECT {', '.join(shown)} FROM {rows}) TO {sql_text(request['target'])} (FORMAT json)"
    )
    yield True


def _rows(request: Mapping[str, Any]) -> str:
    empty = request.get("empty")
    unless = f" WHERE {sql_name(empty)} IS NULL" if empty else ""
    return f"read_parquet({sql_text(request['path'])}, {PLACE}=true){unless}"


DOES: Mapping[str, Callable[[Database, Mapping[str, Any]], Iterator[Any]]] = {
    "read": _read,
    "count": _count,
    "join": _join,
    "export": _export,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
