"""Room that a stage asks for right before it needs it: refused in words, not by a crash on the last step."""

import shutil
from pathlib import Path

from finetune.job.hardware import GIB, available_memory
from finetune.job.stage import StageFailed


def gib(size: int) -> str:
    """A size to read."""
    return f"{size / GIB:.2f} GiB"


def require_memory(needed: int, doing: str) -> None:
    """Raises `StageFailed` when there is not that much RAM."""
    free = available_memory()
    if needed > free:
        raise StageFailed(
            "Not enough memory",
            f"{doing} needs about {gib(needed)} of RAM, {gib(free)} are free. "
            "Stop other programs or use a smaller base.",
        )


def require_disk(folder: Path, needed: int) -> None:
    """Raises `StageFailed` when the disk has not that much room."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StageFailed(
            "Not enough disk",
            f"About {gib(needed)} are needed beside the job, {gib(free)} are free. Free some space.",
        )
