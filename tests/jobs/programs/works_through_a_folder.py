"""The real worker over JOBS_DIR, with the tiny pipeline that its second argument names."""

import signal
import sys
from pathlib import Path

from finetune.job.device import find_gpu
from finetune.worker import Worker

folder, program = Path(sys.argv[1]), sys.argv[2]
command = (sys.executable, "-m", f"tests.jobs.programs.{program}")
worker = Worker(folder, command, gpu=find_gpu())
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
worker.run(0.05)
