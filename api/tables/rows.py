"""The rows of a table of ours, read and written by a process of its own: none of them is held here."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from api.errors import BackEndFailed
from api.tables.reading import LIMITS, require_installed
from api.tables.shelf import Column, Contents
from finetune.job import child_process

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


def export_rows(path: Path, names: Sequence[tuple[str, str]], target: Path) -> None:
    """Write its rows as JSON Lines, each column under the other of its `names`. Blocking."""
    asked = {"do": "export", "path": str(path), "names": list(names), "target": str(target)}
    next(_answers(asked))


def _answers(request: Mapping[str, Any]) -> Iterator[Any]:
    """What the child says, line by line; it ends when nobody listens any more."""
    require_installed()
    command = [sys.executable, "-P", "-s", "-m", "api.tables.rows_child", json.dumps(request)]
    child = child_process.start(command, env={}, limits=LIMITS, stdout=subprocess.PIPE)
    said = child.stdout
    try:
        for line in said or ():
            yield json.loads(line)
        if child.wait() != 0:
            raise BackEndFailed(
                "The process that reads the rows of tables broke off; the log says why."
            )
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()
        if said:
            said.close()
