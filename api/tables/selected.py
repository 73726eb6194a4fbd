"""What a SELECT over a named database gives becomes the Parquet file of a table of ours."""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.tables.databases import Database
from api.tables.reading import read_file, require_installed
from api.tables.refusals import QueryUnusable
from api.tables.shelf import Contents
from api.tables.target import as_text
from finetune.data.mapping import FOLD

MOST_CHARACTERS = 2**30
"""Of all rows of a SELECT that is copied, for a short one can make a full disk."""


def copy_select(database: Database, sql: str, target: Path, most_rows: int) -> Contents:
    """Copy its rows as they are now. Blocking; `QueryUnusable`."""
    require_installed()
    source = target.with_name("source")
    names = write_selected(database, sql, source, most_rows)
    return read_file(source, target, types={}, sheet=None, most_rows=most_rows, columns=names)


def write_selected(
    database: Database, sql: str, path: Path, most_rows: int, fold: str | None = None
) -> list[str]:
    """Write its rows as JSON Lines, and say what its columns are; the one named `fold` is called so. Blocking."""
    with database.select(sql) as found, path.open("w", encoding="utf-8") as file:
        names = with_fold(found.columns, fold)
        size = 0
        for number, row in enumerate(found.rows):
            if number == most_rows:
                raise QueryUnusable(f"More than {most_rows} rows. Add a LIMIT.", where="select")
            cells = dict(zip(names, map(_plain, row), strict=True))
            line = json.dumps(cells, ensure_ascii=False) + "\n"
            size += len(line)
            if size > MOST_CHARACTERS:
                raise QueryUnusable(
                    f"Its rows have more than {MOST_CHARACTERS:,} characters. Choose fewer.",
                    where="select",
                )
            file.write(line)
    return names


def with_fold(columns: Sequence[str], fold: str | None) -> list[str]:
    """The columns, of which one is called `fold`. `QueryUnusable` where two would have one name, or none has that."""
    if fold is not None and fold not in columns:
        known = ", ".join(map(repr, columns))[:500]
        raise QueryUnusable(f"There is no column {fold[:40]!r}. Columns: {known}.", where="fold")
    names = [FOLD if one == fold else one for one in columns]
    if len({one.lower() for one in names}) < len(names):
        raise QueryUnusable(
            "Two columns have the same name: give one another by AS.", where="select"
        )
    return names


def _plain(value: Any) -> Any:
    """As JSON has it: a number stays one, whatever is unknown becomes a text."""
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, float) and value - value != 0:  # neither NaN nor an infinity is JSON
        return None
    if isinstance(value, bool | int | float | dict | list):
        return value
    return value.isoformat(" ") if isinstance(value, datetime) else as_text(value)
