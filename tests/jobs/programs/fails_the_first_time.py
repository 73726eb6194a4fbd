"""A pipeline whose training fails once, and goes on when the job is resumed."""

import runpy
import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

job = JobDirectory(Path(sys.argv[1]))
if not (job.path / "failed").exists():
    with job.locked():
        (job.path / "failed").touch()
        error = {"title": "Out of memory", "detail": "Use bits=4.", "stage": "train"}
        job.append_event("train", "failed", title=error["title"], detail=error["detail"])
        job.write_outcome({"result": "failed", "error": error})
    sys.exit(1)
runpy.run_module("tests.jobs.programs.trains_quickly", run_name="__main__")
