"""The workers of a jobs folder: a file for each in `.workers/`, touched as long as it lives.

It holds the device that the worker trains on; `.workers/hardware/` holds what its machine has, and stays when the
worker ends. Standard library only.
"""

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path

from finetune.job.device import Device
from finetune.job.files import read_json, write_atomically
from finetune.job.hardware import Hardware, of_mapping

HARDWARE = "hardware"
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
            if file.is_file():
                found[file.name] = time.time() - file.stat().st_mtime < SILENT_SECONDS
    return found


def report_hardware(jobs_dir: Path, name: str, hardware: Hardware) -> None:
    """Say what the worker of this name has to train with."""
    file = _workers(jobs_dir) / HARDWARE / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(asdict(hardware), indent=1))


def worker_hardware(jobs_dir: Path) -> Hardware | None:
    """What the machine has that takes a job of this folder: the roomiest of the workers that live, a GPU before any
    CPU. When none lives, of the one that was there last; None when there never was one.
    """
    living = {name for name, is_alive in workers(jobs_dir).items() if is_alive}
    said = []
    for file in (_workers(jobs_dir) / HARDWARE).glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            if hardware := of_mapping(read_json(file)):
                said.append((file.stem in living, file.stat().st_mtime, hardware))
    if here := [hardware for lives, _, hardware in said if lives]:
        return max(here, key=lambda one: (one.device == "gpu", one.memory))
    return max(said, key=lambda one: one[1])[2] if said else None


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
