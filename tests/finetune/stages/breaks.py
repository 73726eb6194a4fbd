"""Raises what nobody expects."""

import sys

from finetune import stage
from finetune.spec import FineTuneSpec
from finetune.workspace import JobDirectory, StageDirectory


def work(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    raise ZeroDivisionError("seven by zero")


if __name__ == "__main__":
    sys.exit(stage.main("breaks", work))
