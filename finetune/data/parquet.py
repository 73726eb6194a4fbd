"""Parquet: read by pyarrow in a child process with limits, which writes the rows as JSON Lines.

What a stranger wrote is parsed by no process of ours that lasts, and only this child loads pyarrow. Standard library
only; the api imports it.
"""

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finetune.data.errors import DatasetError, RowError
from finetune.data.table import Table, TableRow
from finetune.job.child_process import BrokeOff, Limits, lines

CHILD = Path(__file__).with_name("parquet_child.py")
LIMITS = Limits(memory_bytes=6 * 2**30, cpu_seconds=600, most_cpu_seconds=600)
INSTALL = "pip install -c constraints.txt pyarrow"


def open_parquet(path: Path) -> Table:
    """The table of a Parquet file. Raises `DatasetError`."""
    if importlib.util.find_spec("pyarrow") is None:
        raise DatasetError(
            "no_reader",
            f"This installation reads no Parquet. Send JSON Lines or CSV, or install it: {INSTALL}",
        )
    said = _lines(path)
    first = next(said, None)
    if first is None:
        raise DatasetError("no_dataset", "The Parquet file cannot be read: its reader ended.")
    return Table("Parquet", list(first["columns"]), _rows(said))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What the child says, line by line; it ends when nobody listens any more."""
    command = [sys.executable, "-I", str(CHILD), str(path)]
    try:
        with contextlib.closing(lines(command, env={}, limits=LIMITS)) as said:
            for line in said:
                message = json.loads(line)
                if "error" in message:
                    raise DatasetError(
                        "no_dataset", f"The Parquet file cannot be read: {message['error']}."
                    )
                yield message
    except BrokeOff as error:
        raise DatasetError(
            "no_dataset",
            "The Parquet file cannot be read: its reader broke down or needed more than "
            f"{LIMITS.memory_bytes // 2**30} GiB or {LIMITS.cpu_seconds} s. Send JSON Lines.",
        ) from error


def _rows(said: Iterator[dict[str, Any]]) -> Iterator[TableRow | RowError]:
    for number, message in enumerate(said, 1):
        yield TableRow(number, message["row"])
