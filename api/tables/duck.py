"""DuckDB in a child process: how it is opened, and how a table is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from api.tables.sql_child import plain, sql_text
from api.tables.types import Type

SHOWN_ROWS = 3
SHOWN_CHARACTERS = 1000
"""Of a text among the first rows."""
MEMORY = "1GB"
SPILLED = "8GB"


def opened(folder: Path) -> duckdb.DuckDBPyConnection:
    """Works in memory, and spills into the folder."""
    database = duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "threads": 2,
            "temp_directory": str(folder / "spilled"),
            "max_temp_directory_size": SPILLED,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    database.execute("SET TimeZone = 'UTC'")
    return database


def written(
    database: duckdb.DuckDBPyConnection,
    select: str,
    names: Sequence[str],
    types: Sequence[Type],
    target: str,
) -> dict[str, Any]:
    """Write what a SELECT gives as Parquet: its columns, how many rows it has, and the first of them."""
    database.execute(f"COPY ({select}) TO {sql_text(target)} (FORMAT parquet, COMPRESSION zstd)")
    rows = f"read_parquet({sql_text(target)})"
    (count,) = database.execute(f"SELECT count(*) FROM {rows}").fetchone() or (0,)
    shown = database.execute(f"SELECT * FROM {rows} LIMIT {SHOWN_ROWS}").fetchall()
    return {
        "columns": [{"name": name, "type": type} for name, type in zip(names, types, strict=True)],
        "rows": count,
        "first_rows": [dict(zip(names, map(_plain, row), strict=True)) for row in shown],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value[:SHOWN_CHARACTERS]
    return plain(value) if value is None or isinstance(value, int | float) else str(value)


def first_line(error: Exception) -> str:
    """What it says, without the query that it shows below."""
    return str(error).strip().partition("\n")[0][:300]
