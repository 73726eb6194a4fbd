"""Which device trains here, `gpu` or `cpu`: what torch says, asked in a process of its own.

Standard library only, but for that process: `python -m finetune.job.device`.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune.job import child_process

Device = Literal["cpu", "gpu"]
DRIVERS = ("nvidia[0-9]*", "kfd", "dxg")
"""What the driver of a GPU puts into `/dev`: NVIDIA's, AMD's, and Windows' for Linux."""
ASK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU that torch uses, and all its memory in bytes."""

    name: str
    memory: int


def has_driver(drivers: Path = Path("/dev")) -> bool:
    """Whether there is a GPU with its driver."""
    return any(found for driver in DRIVERS for found in drivers.glob(driver))


def find_gpu(drivers: Path = Path("/dev")) -> Gpu | None:
    """The GPU that torch can use, where there is the driver of one; None without."""
    if not has_driver(drivers):
        return None
    command = [sys.executable, "-m", "finetune.job.device"]
    try:
        asked = child_process.run(command, env=child_process.environment(), seconds=ASK_SECONDS)
        said = json.loads(asked.stdout.splitlines()[-1])
        return Gpu(str(said["name"]), int(said["memory"]))
    except (TimeoutError, IndexError, ValueError, KeyError, TypeError):
        return None


def main() -> None:
    """Say what torch finds, as one line of JSON."""
    import torch

    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        print(json.dumps({"name": about.name, "memory": about.total_memory}))  # noqa: T201
    else:
        print("null")  # noqa: T201


if __name__ == "__main__":
    main()
