"""The job directory: its paths, its lock, its events and its markers. Standard library only; the api imports it.

    spec.json  start  cancel  lock  pid  events.jsonl  log.txt  inputs/train.csv  inputs/eval.csv
    dataset/ train/ merge/ convert/ quantize/ verify/     each ends with done.json, written last (sizes, hashes)
    outcome.json                                          last of all

Beside the jobs lies `.workers/`: a file for each worker, touched as long as it lives.

Whether a job runs is a fact that can be tested: its lock is an `flock` on a descriptor that every process of the
job inherits, so it is free exactly when the last of them is gone.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STAGES = ("dataset", "train", "merge", "convert", "quantize", "verify")
INTERMEDIATES = ("merge", "convert")
"""Stages whose files, about four bytes a parameter, nobody needs once the model is published."""

SILENT_SECONDS = 30.0
"""A worker that has not touched its file for so long is dead or hangs."""


class JobLocked(Exception):
    """Another process works on this job."""


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or nothing: a crash leaves the old one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Make the files of a folder last, before a rename gives it its name."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any | None:
    """The parsed file, or None when it is missing or cut."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `events.jsonl`: when, which stage, what, and the fields of that type."""

    at: str
    stage: str
    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageDirectory:
    """The folder of one stage."""

    path: Path

    @property
    def done_path(self) -> Path:
        """The marker, written last."""
        return self.path / "done.json"

    def mark_done(self, files: list[Path], **facts: Any) -> None:
        """Write the marker with size and hash of each file (inside the stage's folder), and facts of the stage."""
        entries = {
            file.relative_to(self.path).as_posix(): {
                "bytes": file.stat().st_size,
                "sha256": sha256_of(file),
            }
            for file in files
        }
        for file in files:
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        write_atomically(self.done_path, json.dumps({"files": entries, **facts}, indent=1))

    def done(self) -> dict[str, Any] | None:
        """The marker when it is whole and each file has its size and hash, else None: then the stage runs again."""
        marker = read_json(self.done_path)
        if not isinstance(marker, dict) or not isinstance(marker.get("files"), dict):
            return None
        for name, entry in marker["files"].items():
            file = self.path / name
            try:
                if file.stat().st_size != entry["bytes"] or sha256_of(file) != entry["sha256"]:
                    return None
            except (OSError, KeyError, TypeError):
                return None
        return marker


@dataclass(frozen=True, slots=True)
class JobDirectory:
    """One fine-tuning job on disk."""

    path: Path

    @property
    def id(self) -> str:
        """The job's id is its folder's name."""
        return self.path.name

    @property
    def spec_path(self) -> Path:
        """`FineTuneSpec` as JSON."""
        return self.path / "spec.json"

    @property
    def train_csv(self) -> Path:
        """The rows to learn, as uploaded."""
        return self.path / "inputs" / "train.csv"

    @property
    def eval_csv(self) -> Path:
        """The held-out rows, as uploaded; may be missing."""
        return self.path / "inputs" / "eval.csv"

    @property
    def log_path(self) -> Path:
        """What the stages print."""
        return self.path / "log.txt"

    @property
    def gguf_path(self) -> Path:
        """The file to publish."""
        return self.path / "quantize" / "model.gguf"

    @property
    def probes_path(self) -> Path:
        """`Probes` as JSON: what the published model is held against."""
        return self.path / "verify" / "probes.json"

    @property
    def _events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def _outcome_path(self) -> Path:
        return self.path / "outcome.json"

    def stage(self, name: str) -> StageDirectory:
        """The folder of a stage, made when missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return StageDirectory(folder)

    # What the api asks for

    def request_start(self) -> None:
        """Let a runner take the job (again): forget an earlier outcome and an earlier wish to cancel."""
        (self.path / "cancel").unlink(missing_ok=True)
        self._outcome_path.unlink(missing_ok=True)  # second: a worker takes the job when it is gone
        (self.path / "start").touch()
        sync_folder(self.path)

    def withdraw_start(self) -> None:
        """Take back the permission to run: a runner that has not taken the job yet leaves it alone."""
        (self.path / "start").unlink(missing_ok=True)

    def request_cancel(self) -> None:
        """Wish that the job stops at its next safe point."""
        (self.path / "cancel").touch()

    def is_start_requested(self) -> bool:
        """Whether a runner may take it."""
        return (self.path / "start").exists()

    def is_cancel_requested(self) -> bool:
        """Whether it should stop."""
        return (self.path / "cancel").exists()

    # The lock

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the job; yields the descriptor, inheritable, so that children hold it too. Raises `JobLocked`."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise JobLocked(self.id) from error
            os.set_inheritable(descriptor, True)
            yield descriptor
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether some process works on the job now."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    # Log, events and outcome

    def log_tail(self, most_bytes: int) -> str:
        """The end of what the stages printed."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - most_bytes))
                return log.read(most_bytes).decode(errors="replace")
        except OSError:
            return ""

    def append_event(self, stage: str, type: str, **fields: Any) -> None:
        """Add one event; a single write, so lines of several processes do not mix."""
        event = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "stage": stage,
            "type": type,
            **fields,
        }
        line = (json.dumps(event, allow_nan=False, default=str) + "\n").encode()
        descriptor = os.open(
            self._events_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Events from a byte offset on and the offset to go on from; a line that is not whole yet waits."""
        try:
            with self._events_path.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], offset
        whole, newline, _ = data.rpartition(b"\n")
        events = []
        for line in whole.splitlines() if newline else []:
            try:
                fields = json.loads(line)
                events.append(
                    Event(fields.pop("at"), fields.pop("stage"), fields.pop("type"), fields)
                )
            except (ValueError, KeyError, AttributeError):
                continue
        return events, offset + len(whole) + len(newline)

    def write_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Say how it ended (`spec.Outcome` as a mapping)."""
        write_atomically(self._outcome_path, json.dumps(outcome))

    def drop_intermediates(self) -> None:
        """Free the disk of what a published job needs no more; the adapter and the GGUF stay."""
        for name in INTERMEDIATES:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def outcome(self) -> dict[str, Any] | None:
        """How it ended, or None."""
        outcome = read_json(self._outcome_path)
        return outcome if isinstance(outcome, dict) else None


# Workers


def report_worker(jobs_dir: Path, name: str) -> None:
    """Say that the worker of this name lives; to be repeated well within `SILENT_SECONDS`."""
    file = _workers(jobs_dir) / name
    file.parent.mkdir(exist_ok=True)
    file.touch()


def dismiss_worker(jobs_dir: Path, name: str) -> None:
    """Say that it has ended; idempotent."""
    (_workers(jobs_dir) / name).unlink(missing_ok=True)


def workers(jobs_dir: Path) -> dict[str, bool]:
    """Every worker that was not dismissed, and whether it lives."""
    found = {}
    for file in _workers(jobs_dir).glob("*"):
        with contextlib.suppress(FileNotFoundError):
            found[file.name] = time.time() - file.stat().st_mtime < SILENT_SECONDS
    return found


def _workers(jobs_dir: Path) -> Path:
    return jobs_dir / ".workers"
