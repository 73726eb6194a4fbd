"""The memory of the GPUs that are here, as NVIDIA's own tool tells it: in a child, for a driver that hangs hangs it."""

import logging
import shutil
from typing import NamedTuple

from api.child_process import environment, run

LOGGER = logging.getLogger("api.metrics")
TOOL = "nvidia-smi"
QUERY = ("--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits")
SECONDS = 5.0
MIB = 2**20


class Gpu(NamedTuple):
    """The number that the tool gives it, and its memory in bytes."""

    number: str
    used: int
    total: int


def gpus() -> list[Gpu]:
    """All of them; none where there is no such tool, it fails, or it does not know the memory. Blocks its thread."""
    tool = shutil.which(TOOL)
    if tool is None:
        return []
    try:
        said = run([tool, *QUERY], env=environment(), seconds=SECONDS)
    except (TimeoutError, OSError) as error:
        LOGGER.warning("%s tells nothing of the GPUs: %r", TOOL, error)
        return []
    return [
        gpu for line in said.stdout.decode("ascii", "replace").splitlines() if (gpu := _gpu(line))
    ]


def _gpu(line: str) -> Gpu | None:
    """A line as `0, 1503, 81559`, in MiB."""
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    return Gpu(parts[0], int(parts[1]) * MIB, int(parts[2]) * MIB)
