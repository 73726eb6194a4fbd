"""What came of the rows: two files of a batch's directory that grow by whole lines.

What is written whole is done, and is neither asked nor written again; what a crash tore off is cut away.
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from api.batches.values import Answer, Row

OUTPUT = "output.jsonl"
ERRORS = "errors.jsonl"
SYNC_SECONDS = 1.0
"""How often the lines are made to last; what was answered since is asked again after the power fails."""


class Part:
    """One of the files. A line is in it whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Cut away what is no whole line; `ids` are those of the rows that are in it."""
        self.path = path
        self.ids: list[str] = []
        self._size = 0
        self._file: BinaryIO = path.open("ab", buffering=0)
        for id, size in _whole(path):
            self.ids.append(id)
            self._size += size
        self._file.truncate(self._size)

    def append(self, line: bytes) -> None:
        """One more line; `OSError` leaves the file as it was."""
        try:
            written = self._file.write(line)
            if written < len(line):
                raise OSError(f"Of {len(line)} bytes {written} were written.")
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line)

    def sync(self) -> None:
        """Make it last."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class Outcomes:
    """Both files. Blocking, and for one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.output, self.errors = Part(folder / OUTPUT), Part(folder / ERRORS)
        self.completed, self.failed = len(self.output.ids), len(self.errors.ids)
        self.done = {*self.output.ids, *self.errors.ids}
        self._synced_at = time.monotonic()

    def add(self, row: Row, answer: Answer) -> None:
        """What a row was answered; a refusal stands among the errors."""
        said = json.dumps({"status_code": answer.status, "request_id": answer.request_id})
        response = b'%s, "body": %s}' % (said[:-1].encode(), answer.body)
        self._write(row, response, b"null", is_refused=answer.is_refused)

    def give_up(self, row: Row, code: str, message: str) -> None:
        """Why a row was never asked."""
        error = json.dumps({"code": code, "message": message}).encode()
        self._write(row, b"null", error, is_refused=True)

    def close(self) -> None:
        """Make both last, and give them back."""
        for part in (self.output, self.errors):
            part.sync()
            part.close()

    def _write(self, row: Row, response: bytes, error: bytes, *, is_refused: bool) -> None:
        ids = json.dumps({"id": f"batch_req_{secrets.token_hex(8)}", "custom_id": row.custom_id})
        line = b'%s, "response": %s, "error": %s}\n' % (ids[:-1].encode(), response, error)
        (self.errors if is_refused else self.output).append(line)
        self.completed += not is_refused
        self.failed += is_refused
        self.done.add(row.custom_id)
        if time.monotonic() - self._synced_at > SYNC_SECONDS:
            self.output.sync()
            self.errors.sync()
            self._synced_at = time.monotonic()


def counted(folder: Path) -> tuple[int, int]:
    """How many rows are answered and refused of a batch that nobody brings on just now."""
    return _lines(folder / OUTPUT), _lines(folder / ERRORS)


def _lines(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)
    return 0


def _whole(path: Path) -> Iterator[tuple[str, int]]:
    """The rows of the lines that are whole, up to the first that is not, and the sizes of the lines."""
    with path.open("rb") as file:
        for line in file:
            id = _custom_id(line)
            if id is None:
                return
            yield id, len(line)


def _custom_id(line: bytes) -> str | None:
    try:
        said: Any = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    id = said.get("custom_id") if isinstance(said, dict) else None
    return id if isinstance(id, str) else None
