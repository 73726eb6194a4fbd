"""The worker over tiny pipelines: `python -m tests.finetune.stages.worker JOBS_DIR`."""

import sys

from finetune import worker

if __name__ == "__main__":
    sys.exit(worker.main(sys.argv[1:], (sys.executable, "-m", "tests.finetune.stages.pipeline")))
