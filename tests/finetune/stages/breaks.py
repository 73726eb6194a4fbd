"""Raises what nobody expects."""

import sys

from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.spec import FineTuneSpec


def work(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    raise ZeroDivisionError("seven by zero")


if __name__ == "__main__":
    sys.exit(stage.main("breaks", work))
