"""The real worker over JOBS_DIR, with the tiny pipeline that its second argument names."""

import signal
import sys
from pathlib import Path

from finetune.worker import Worker

folder, program = Path(sys.argv[1]), sys.argv[2]
worker = Worker(folder, (sys.executable, "-m", f"tests.jobs.programs.{program}"))
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
worker.run(0.05)
