"""The workers of a jobs folder: a file for each in `.workers/`, touched as long as it lives. Standard library only."""

import contextlib
import time
from pathlib import Path

SILENT_SECONDS = 30.0
"""A worker that has not touched its file for so long is dead or hangs."""


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
