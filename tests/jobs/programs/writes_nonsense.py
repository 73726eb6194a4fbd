"""A pipeline whose outcome nobody can read."""

import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

job = JobDirectory(Path(sys.argv[1]))
with job.locked():
    job.write_outcome({"result": "odd"})
