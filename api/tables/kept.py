"""What came of the rows of a prediction: files of its directory that grow by whole lines.

What is kept is not asked again. A column of a database is set from here, and `applied.json` says up to which line.
"""

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from api import faults
from api.batches.outcomes import Part
from finetune.job.files import read_json, write_atomically

OUTPUT = "output.jsonl"
ERRORS = "errors.jsonl"
APPLIED = "applied.json"
LOG = "log.txt"
ROWS_A_WRITE = 100
"""Of a database, in one transaction."""
Write = Callable[[Sequence[tuple[str, str]]], list[tuple[str, str]]]
"""Sets values by key; of those that could not be set the reasons."""


class Kept:
    """Those files. Blocking, and for one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._output, self._errors = Part(folder / OUTPUT), Part(folder / ERRORS)
        self.done = {*self._output.ids, *self._errors.ids}
        applied = read_json(folder / APPLIED)
        self._applied: int
        self._left: int
        self._applied, self._left = applied if isinstance(applied, list) else (0, 0)
        self._answered, self._refused = len(self._output.ids), len(self._errors.ids)

    @property
    def completed(self) -> int:
        """Rows that have a value."""
        return self._answered - self._left

    @property
    def failed(self) -> int:
        """Rows that have none, for a reason that the log tells."""
        return self._refused + self._left

    def add(self, key: str, value: str) -> None:
        """The outcome of a row."""
        self._output.append(_line(custom_id=key, value=value))
        self._answered += 1
        faults.point("predict_row_kept")

    def refuse(self, key: str, why: str) -> None:
        """Why a row has none."""
        self.log(f"row {key}: {why}")
        self._errors.append(_line(custom_id=key, error=why))
        self._refused += 1

    def apply(self, write: Write) -> None:
        """Write all that was not written, some rows at a time; what is told to be written outlives the power too."""
        self.sync()
        with self._output.path.open("rb") as lines:
            lines.seek(self._applied)
            while some := [line for _ in range(ROWS_A_WRITE) if (line := lines.readline())]:
                rows = [json.loads(line) for line in some]
                refused = write([(one["custom_id"], one["value"]) for one in rows])
                faults.point("predict_rows_written")
                for key, why in refused:
                    self.log(f"row {key}: {why}")
                self._applied += sum(map(len, some))
                self._left += len(refused)
                state = json.dumps([self._applied, self._left])
                write_atomically(self._folder / APPLIED, state)

    def log(self, text: str) -> None:
        """A line for people."""
        log(self._folder, text)

    def sync(self) -> None:
        """Make the lines last."""
        self._output.sync()
        self._errors.sync()

    def close(self) -> None:
        """Make them last, and give the files back."""
        self.sync()
        self._output.close()
        self._errors.close()


def log(folder: Path, text: str) -> None:
    """A line of the log of a prediction; blocking."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with (folder / LOG).open("a", encoding="utf-8", errors="replace") as file:
        file.write(f"{at} {' '.join(text.split())}{os.linesep}")


def _line(**members: str) -> bytes:
    return json.dumps(members).encode() + b"\n"
