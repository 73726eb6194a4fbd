"""The real stages of a job up to one: `python -m tests.finetune.stages.until STAGE JOB_DIR`."""

import sys
from pathlib import Path

from finetune.job import pipeline
from finetune.job.directory import JobDirectory
from finetune.job.pipeline import Stage
from finetune.job.spec import stages_of
from finetune.job.stage import read_spec

if __name__ == "__main__":
    last, job = sys.argv[1], JobDirectory(Path(sys.argv[2]))
    names = stages_of(read_spec(job))
    wanted = names[: names.index(last) + 1]
    stages = [Stage(name, (sys.executable, "-m", f"finetune.stages.{name}")) for name in wanted]
    outcome = pipeline.run(job, stages)
    sys.exit(4 if outcome is None else {"trained": 0, "cancelled": 3, "failed": 1}[outcome.result])
