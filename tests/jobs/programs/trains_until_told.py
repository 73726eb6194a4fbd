"""A pipeline that trains on until it is cancelled, terminated, or finds a file `enough` in its folder."""

import os
import signal
import sys
import time
from pathlib import Path

from finetune.job.directory import JobDirectory

job = JobDirectory(Path(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: os._exit(4))
with job.locked():
    job.append_event("train", "stage_started")
    (job.path / "environment").write_text("\n".join(os.environ))
    while not (job.path / "enough").exists():
        if job.is_cancel_requested():
            job.write_outcome({"result": "cancelled"})
            break
        time.sleep(0.02)
    else:
        job.write_outcome({"result": "failed", "error": {"title": "Told", "detail": "Enough."}})
