"""`python -m finetune JOB_DIR`: run a fine-tuning job, or go on with it."""

import sys
from pathlib import Path

from finetune.job import pipeline, stage
from finetune.job.directory import JobDirectory, JobLocked


def main(arguments: list[str]) -> int:
    """Exit code 0: trained, 1: failed, 3: cancelled, 4: stopped, 5: another process is at it."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m finetune JOB_DIR\n")
        return 2
    try:
        outcome = pipeline.run(JobDirectory(Path(arguments[0]).resolve()))
    except JobLocked as error:
        sys.stderr.write(f"Another process works on job {error}.\n")
        return stage.EXIT_LOCKED
    if outcome is None:
        return stage.EXIT_INTERRUPTED
    if outcome.error is not None:
        sys.stderr.write(f"{outcome.error.stage}: {outcome.error.title}: {outcome.error.detail}\n")
    return {"trained": 0, "failed": stage.EXIT_FAILED, "cancelled": stage.EXIT_CANCELLED}[
        outcome.result
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
