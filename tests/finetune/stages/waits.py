"""Goes on until it is told to stop; then it leaves its point, or is done when it was there before."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from finetune.job.directory import JobDirectory
from finetune.job.stage import EXIT_INTERRUPTED

NAME = "waits"

if __name__ == "__main__":
    job = JobDirectory(Path(sys.argv[1]))
    folder = job.stage(NAME)
    point = folder.path / "checkpoint"

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        point.touch()
        sys.exit(EXIT_INTERRUPTED)

    signal.signal(signal.SIGTERM, on_sigterm)
    if point.exists():
        folder.mark_done([point])
        sys.exit(0)
    (job.path / "waiting").write_text(str(os.getpid()))
    time.sleep(60)
