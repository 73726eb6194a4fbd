"""A whole job of tiny stages: `python -m tests.finetune.stages.pipeline JOB_DIR`."""

import sys
from pathlib import Path

from finetune.job import pipeline
from finetune.job.directory import JobDirectory
from tests.finetune.jobs import tiny

if __name__ == "__main__":
    outcome = pipeline.run(JobDirectory(Path(sys.argv[1])), tiny("works", "waits"))
    sys.exit(4 if outcome is None else 0)
