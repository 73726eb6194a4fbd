"""The workers of a jobs folder: a file for each in `.workers/`, touched as long as it lives.

It holds the device that the worker trains on. Standard library only.
"""

import contextlib
import time
from pathlib import Path

from finetune.job.device import Device

SILENT_SECONDS = 30.0
"""A worker that has not touched its file for so long is dead or hangs."""


def report_worker(jobs_dir: Path, name: str, device: Device = "cpu") -> None:
    """Say that the worker of this name lives; to be repeated well within `SILENT_SECONDS`."""
    file = _workers(jobs_dir) / name
    file.parent.mkdir(exist_ok=True)
    if not file.exists() or file.read_text() != device:  # a reader never finds it empty later on
        file.write_text(device)
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


def worker_device(jobs_dir: Path) -> Device | None:
    """What a job of this folder trains on: the GPU when a worker that lives has one, None when none lives."""
    living = [name for name, is_alive in workers(jobs_dir).items() if is_alive]
    said = set()
    for name in living:
        with contextlib.suppress(FileNotFoundError):
            said.add((_workers(jobs_dir) / name).read_text())
    if not living:
        return None
    return "gpu" if "gpu" in said else "cpu"


def _workers(jobs_dir: Path) -> Path:
    return jobs_dir / ".workers"
