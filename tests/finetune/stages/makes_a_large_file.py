"""Makes a file that takes a while to read, and marks it as a stage does."""

import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

LARGE_BYTES = 32 * 2**20

if __name__ == "__main__":
    folder = JobDirectory(Path(sys.argv[1])).stage("makes_a_large_file")
    with (folder.path / "model.bin").open("wb") as file:
        file.truncate(LARGE_BYTES)
    folder.mark_done([folder.path / "model.bin"])
