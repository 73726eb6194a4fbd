"""What a run really takes: RAM and processor time of a process, and the most that lies in a folder while one looks."""

import os
import resource
import time
from pathlib import Path
from typing import Any

LOOK_SECONDS = 2.0


def used() -> dict[str, Any]:
    """The most RAM that this process or one of its children held, and the processor time of all of them."""
    ours, childrens = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = sum(one.ru_utime + one.ru_stime for one in (ours, childrens))
    most = max(ours.ru_maxrss, childrens.ru_maxrss) * 1024
    return {"ram_bytes": most, "cpu_seconds": round(seconds, 2)}


def folder_bytes(folder: Path) -> int:
    """What its files take of the disk; one with several names counts once."""
    sizes: dict[int, int] = {}
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                about = os.lstat(os.path.join(where, name))
            except FileNotFoundError:
                continue
            sizes[about.st_ino] = about.st_blocks * 512
    return sum(sizes.values())


class DiskWatch:
    """The most that was seen in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at = 0.0
        self.most_bytes = 0

    def look(self, *, now: bool = False) -> None:
        """Look, unless it was done a moment ago."""
        if now or time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self.most_bytes = max(self.most_bytes, folder_bytes(self._folder))
            self._looked_at = time.monotonic()
