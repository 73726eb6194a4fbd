"""Does what a stage does, and leaves a trace of each run."""

import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

NAME = "works"

if __name__ == "__main__":
    job = JobDirectory(Path(sys.argv[1]))
    with (job.path / "runs.txt").open("a") as runs:
        runs.write("run\n")
    folder = job.stage(NAME)
    if folder.done() is None:
        (folder.path / "result.txt").write_text("made")
        folder.mark_done([folder.path / "result.txt"])
