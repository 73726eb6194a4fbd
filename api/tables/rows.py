"""The rows of a table of ours, read and written by a process of its own: none of them is held here."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from api import child_process
from api.errors import BackEndFailed
from api.tables.reading import LIMITS, require_installed
from api.tables.shelf import Column, Contents
from finetune.job.child_process import BrokeOff, lines

Cells = Mapping[str, str | None]
"""The cells of a row by column, each as a text."""


def read_rows(
    path: Path, columns: Sequence[str], *, empty: str | None = None
) -> Iterator[tuple[int, Cells]]:
    """Each row with its place, of those where the column `empty` is NULL if one is named. Blocking."""
    asked = {"do": "read", "path": str(path), "columns": list(columns), "empty": empty}
    yield from _answers(asked)


def count_rows(path: Path, *, empty: str | None = None) -> int:
    """How many those are. Blocking."""
    return int(next(_answers({"do": "count", "path": str(path), "empty": empty})))


def join_outcomes(
    path: Path, columns: Sequence[Column], into: Column, outcomes: Path, target: Path
) -> Contents:
    """Write the table with the outcomes, lines of `custom_id` (the place) and `value`, in a column. Blocking."""
    asked = {
        "do": "join",
        "path": str(path),
        "columns": [asdict(one) for one in columns],
        "into": into.name,
        "type": into.type,
        "outcomes": str(outcomes),
        "target": str(target),
    }
    answer = next(_answers(asked))
    told = [Column(**one) for one in answer["columns"]]
    return Contents(told, answer["rows"], answer["first_rows"])


async def export_rows(path: Path, names: Sequence[tuple[str, str]], target: Path) -> None:
    """Write its rows as JSON Lines, each column under the other of its `names`. Cancelling it ends the process."""
    asked = {"do": "export", "path": str(path), "names": list(names), "target": str(target)}
    require_installed()
    ended = await child_process.finished(_command(asked), env={}, limits=LIMITS)
    if ended.returncode:
        raise _broken_off()


def _answers(request: Mapping[str, Any]) -> Iterator[Any]:
    """What the child says, line by line; it ends when nobody listens any more."""
    require_installed()
    try:
        with contextlib.closing(lines(_command(request), env={}, limits=LIMITS)) as said:
            yield from map(json.loads, said)
    except BrokeOff as error:
        raise _broken_off() from error


def _command(request: Mapping[str, Any]) -> list[str]:
    return [sys.executable, "-P", "-s", "-m", "api.tables.rows_child", json.dumps(request)]


def _broken_off() -> BackEndFailed:
    return BackEndFailed("The process that reads the rows of tables broke off; the log says why.")
