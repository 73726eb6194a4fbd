"""Which device trains here, `gpu` or `cpu`: what torch says, asked in a process of its own.

Standard library only, but for that process: `python -m finetune.job.device`.
"""

import sys
from pathlib import Path
from typing import Literal

from finetune.job import child_process

Device = Literal["cpu", "gpu"]
DRIVERS = ("nvidia[0-9]*", "kfd", "dxg")
"""What the driver of a GPU puts into `/dev`: NVIDIA's, AMD's, and Windows' for Linux."""
ASK_SECONDS = 120.0


def has_driver(drivers: Path = Path("/dev")) -> bool:
    """Whether there is a GPU with its driver."""
    return any(found for driver in DRIVERS for found in drivers.glob(driver))


def training_device(drivers: Path = Path("/dev")) -> Device:
    """`gpu` when there is the driver of one and torch can use it."""
    if not has_driver(drivers):
        return "cpu"
    command = [sys.executable, "-m", "finetune.job.device"]
    try:
        asked = child_process.run(command, env=child_process.environment(), seconds=ASK_SECONDS)
    except TimeoutError:
        return "cpu"
    return "gpu" if asked.stdout.split()[-1:] == [b"gpu"] else "cpu"


def main() -> None:
    """Say what torch finds."""
    import torch

    print("gpu" if torch.cuda.is_available() else "cpu")  # noqa: T201


if __name__ == "__main__":
    main()
