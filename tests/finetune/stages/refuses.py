"""Fails with a reason."""

import sys

from finetune import stage
from finetune.spec import FineTuneSpec
from finetune.stage import StageFailed
from finetune.workspace import JobDirectory, StageDirectory


def work(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    raise StageFailed("Row 3 is no good", "Mend row 3.")


if __name__ == "__main__":
    sys.exit(stage.main("refuses", work))
