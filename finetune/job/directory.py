"""The job directory: its paths, its lock, its events and its markers. Standard library only; the api imports it.

    spec.json  start  cancel  lock  pid  events.jsonl  progress.json  log.txt
    inputs/train.csv ...                                  what came, by fold: in its own format, and as rows
    preflight.json                                        what was predicted, and what was real
    dataset/ train/ merge/ convert/ quantize/ verify/ evaluate/   each ends with done.json, written last (sizes, hashes)
    outcome.json                                          last of all

    train/kept/        the weights of each checkpoint, and kept.json with their losses
    train/adapter/     a PEFT adapter; of `adapter=full` instead
    train/model/       the trained weights whole: float16 safetensors and config.json, without a tokenizer
    train/tokenizer/   with `chat_template`: the tokenizer that was trained with; without, it is the base's own

Beside the jobs lie `.workers/` (`workers`), `.bases/` (`kept_bases`) and `.history.jsonl` (`finetune/preflight`).

Whether a job runs is a fact that can be tested: its lock is on a descriptor that every process of the job inherits,
so it is free exactly when the last of them is gone.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.job.events import BLOCK_BYTES, START, Event, EventLog, Place
from finetune.job.files import read_json, sync_file, sync_folder, tail, write_atomically
from finetune.job.locks import is_held, take
from finetune.job.progress import Fold, JobProgress, fold
from finetune.job.versions import versions

INTERMEDIATES = ("convert",)
"""Stages whose files, two bytes a parameter, nobody needs once the model is published."""
LOCK = "lock"
"""The file that whoever works in the directory holds."""


ROWS = "rows.jsonl"
"""What the name of a file ends in that holds rows as `finetune.data.rows` writes them."""
INPUT_SUFFIXES = (ROWS, "csv", "jsonl", "json", "parquet")


class JobLocked(Exception):
    """Another process works on this job."""


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class StageDirectory:
    """The folder of one stage."""

    path: Path

    @property
    def done_path(self) -> Path:
        """The marker, written last."""
        return self.path / "done.json"

    def mark_done(self, files: list[Path], *, hashed: bool = True, **facts: Any) -> None:
        """Write the marker: size and hash of each file (inside the folder), what was installed, and facts. Files that
        nobody keeps need no hash: written since, they are made again.
        """
        entries = {
            file.relative_to(self.path).as_posix(): {
                "bytes": file.stat().st_size,
                "mtime_ns": file.stat().st_mtime_ns,
                **({"sha256": sha256_of(file)} if hashed else {}),
            }
            for file in files
        }
        for file in files:
            sync_file(file)
        content = {"files": entries, "versions": versions(), **facts}
        write_atomically(self.done_path, json.dumps(content, indent=1))

    def done(self) -> dict[str, Any] | None:
        """The marker when it is whole and each file is the one it names, else None: then the stage runs again.

        A file is hashed again only when it was written since.
        """
        marker = self._marker()
        try:
            same = marker and all(
                (self.path / name).stat().st_mtime_ns == entry.get("mtime_ns")
                or sha256_of(self.path / name) == entry["sha256"]
                for name, entry in marker["files"].items()
            )
        except (OSError, KeyError):
            return None
        return marker if same else None

    def clear(self) -> None:
        """Begin anew: take away what an attempt that was broken off has left."""
        for path in self.path.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def has_ended(self) -> bool:
        """The same of a stage that ended a moment ago, and has hashed its files itself: by their sizes alone."""
        return self._marker() is not None

    def _marker(self) -> dict[str, Any] | None:
        """The marker when it is whole and each file has its size."""
        marker = read_json(self.done_path)
        try:
            sizes = {name: entry["bytes"] for name, entry in marker["files"].items()}
            whole = all((self.path / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, KeyError, TypeError, AttributeError):
            return None
        return marker if whole and isinstance(marker, dict) else None


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
    def gate_path(self) -> Path:
        """What publishing compared and found."""
        return self.path / "publish" / "gate.json"

    @property
    def inputs(self) -> Path:
        """What came with the job."""
        return self.path / "inputs"

    def input_path(self, fold: str, suffix: str) -> Path:
        """Where what came for a fold (`train`, `eval`, `test`) lies: as it was sent, or, `rows.jsonl`, as rows."""
        return self.inputs / f"{fold}.{suffix}"

    def input(self, fold: str) -> Path | None:
        """The rows of a fold, or else its file, whatever its format."""
        paths = (self.input_path(fold, suffix) for suffix in INPUT_SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    @property
    def log_path(self) -> Path:
        """What the stages print."""
        return self.path / "log.txt"

    @property
    def gguf_path(self) -> Path:
        """The file to publish."""
        return self.path / "quantize" / "model.gguf"

    def ggufs(self, types: Sequence[str]) -> dict[str, Path]:
        """The file of each type; the first is published."""
        named = {name: self.path / "quantize" / f"model-{name}.gguf" for name in types}
        return named | {types[0]: self.gguf_path}

    @property
    def probes_path(self) -> Path:
        """`Probes` as JSON: what the published model is held against."""
        return self.path / "verify" / "probes.json"

    @property
    def _log(self) -> EventLog:
        return EventLog(self.path / "events.jsonl")

    @property
    def _lock_path(self) -> Path:
        return self.path / LOCK

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
        descriptor = take(self._lock_path)
        if descriptor is None:
            raise JobLocked(self.id)
        try:
            os.set_inheritable(descriptor, True)
            yield descriptor
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether some process works on the job now."""
        return is_held(self._lock_path)

    # Log, events and outcome

    def log_tail(self, most_bytes: int) -> str:
        """The end of what the stages printed."""
        return tail(self.log_path, most_bytes)

    def append_event(self, stage: str, type: str, **fields: Any) -> None:
        """Add one event; the first of a block also has those before it folded."""
        if self._log.append(stage, type, fields):
            self._fold()

    def begin_events(self, events: Iterable[Event]) -> None:
        """Begin with events of another job, each at its own time."""
        self._log.begin(events)

    def events(self, place: Place = START) -> tuple[list[Event], Place]:
        """All events from a place on, and the place to go on from; a line that is not whole yet waits."""
        return self._log.read(place)

    def some_events(self, place: Place) -> tuple[list[Event], Place]:
        """The next block of them."""
        return self._log.read(place, BLOCK_BYTES)

    def last_place(self) -> Place:
        """The place behind every event so far."""
        return self._fold().place

    def place_before(self, number: int) -> Place:
        """A place before the event of this number, near it."""
        return self._fold().block_of(number)

    def progress(self) -> JobProgress:
        """How far the job is."""
        return self._fold().progress

    def _fold(self) -> Fold:
        return fold(self._log, self.path / "progress.json")

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
