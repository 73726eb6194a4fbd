"""Fails with a reason."""

import sys

from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed


def work(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    raise StageFailed("Row 3 is no good", "Mend row 3.")


if __name__ == "__main__":
    sys.exit(stage.main("refuses", work))
