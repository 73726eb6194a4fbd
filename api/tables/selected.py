"""What a SELECT over a named database gives becomes the Parquet file of a table of ours."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.tables.databases import Database
from api.tables.reading import read_file, require_installed
from api.tables.refusals import QueryUnusable
from api.tables.shelf import Contents
from api.tables.target import as_text


def copy_select(database: Database, sql: str, target: Path, most_rows: int) -> Contents:
    """Copy its rows as they are now. Blocking; `QueryUnusable`."""
    require_installed()
    source = target.with_name("source")
    with database.select(sql) as found, source.open("w", encoding="utf-8") as file:
        names = list(found.columns)
        if len({one.lower() for one in names}) < len(names):
            raise QueryUnusable(
                "Two columns have the same name: give one another by AS.", where="select"
            )
        for number, row in enumerate(found.rows):
            if number == most_rows:
                raise QueryUnusable(f"More than {most_rows} rows. Add a LIMIT.", where="select")
            cells = dict(zip(names, map(_plain, row), strict=True))
            file.write(json.dumps(cells, ensure_ascii=False) + "\n")
    return read_file(source, target, types={}, sheet=None, most_rows=most_rows, columns=names)


def _plain(value: Any) -> Any:
    """As JSON has it: a number stays one, whatever is unknown becomes a text."""
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, float) and value - value != 0:  # neither NaN nor an infinity is JSON
        return None
    if isinstance(value, bool | int | float | dict | list):
        return value
    return (
        value.isoformat(" ")
        if hasattr(value, "hour") and isinstance(value, date)
        else as_text(value)
    )
