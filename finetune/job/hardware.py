"""What a machine has to train with: memory, disk, processor, and the GPU that `device` finds. Standard library only.

A worker writes it beside the jobs (`workers`); the api reads it there, so it plans for the machine that will train.
"""

import os
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from finetune.job.device import Device, Gpu

GIB = 2**30
NO_LIMIT = 2**62
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Hardware:
    """Sizes in bytes; `threads` is what a stage computes with. `vram` is 0 without a GPU."""

    device: Device
    processor: str
    cores: int
    threads: int
    avx512: bool
    ram: int
    ram_free: int
    disk_free: int
    gpu: str | None = None
    vram: int = 0

    @property
    def kind(self) -> str:
        """Machines of one kind take about the same time for the same run."""
        speed = f"{self.gpu}" if self.gpu else f"{self.processor}, {self.threads} threads"
        return f"{self.device}: {speed}"

    @property
    def memory(self) -> int:
        """All memory of the device that trains, as far as a process can have it."""
        return self.vram if self.device == "gpu" else self.ram


def measure(folder: Path, gpu: Gpu | None) -> Hardware:
    """This machine, with the disk that `folder` lies on, and the GPU that torch was found to use."""
    processor, flags = _processor(Path("/proc/cpuinfo"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(asked) if asked.isdecimal() and int(asked) > 0 else cores or 1
    return Hardware(
        device="gpu" if gpu else "cpu",
        processor=processor,
        cores=cores or 1,
        threads=min(threads, cores or 1),
        avx512="avx512f" in flags,
        ram=total_memory(),
        ram_free=available_memory(),
        disk_free=shutil.disk_usage(folder).free,
        gpu=gpu.name if gpu else None,
        vram=gpu.memory if gpu else 0,
    )


def of_mapping(values: object) -> Hardware | None:
    """What another process has written; None for anything else, unknown fields passed over."""
    if not isinstance(values, dict):
        return None
    known = {field.name for field in fields(Hardware)}
    try:
        return Hardware(**{name: value for name, value in values.items() if name in known})
    except TypeError:
        return None


def total_memory() -> int:
    """RAM that a process here can have at most: of the machine, and of its control group."""
    return min(_memory_of("MemTotal:"), _group_limit())


def available_memory() -> int:
    """RAM this process may still take: of the machine, and of its control group."""
    available = _memory_of("MemAvailable:")
    limit = _group_limit()
    if limit < NO_LIMIT:
        try:
            used = int((CGROUP / "memory.current").read_text())
        except (OSError, ValueError):
            return available
        return min(available, max(0, limit - used))
    return available


def _memory_of(line_begins: str) -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return NO_LIMIT
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith(line_begins)), NO_LIMIT
    )


def _group_limit() -> int:
    try:
        return int((CGROUP / "memory.max").read_text())  # "max" is no number
    except (OSError, ValueError):
        return NO_LIMIT


def _processor(info: Path) -> tuple[str, set[str]]:
    said: dict[str, Any] = {}
    try:
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            said.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    return said.get("model name", "unknown processor"), set(said.get("flags", "").split())
