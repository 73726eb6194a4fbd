"""A stage on a disk that has too little room, and then enough: `... STAGE JOB_DIR DISK`; prints how both ended.

DISK is a mounted tmpfs of its own; the job is copied onto it, and all room but a little is taken away.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from finetune.job.directory import JobDirectory

LEFT_BYTES = 96 * 1024


def main() -> None:
    stage, source, disk = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    shutil.copytree(source.parent / "base", disk / "base", symlinks=False)
    shutil.copytree(source, disk / source.name)
    job = JobDirectory(disk / source.name)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - LEFT_BYTES)))
    command = [sys.executable, "-m", "tests.finetune.stages.until", stage, str(job.path)]
    full = subprocess.run(command, capture_output=True, text=True)
    outcome = job.outcome()
    ballast.unlink()
    job.request_start()
    again = subprocess.run(command, capture_output=True, text=True)
    left = [path.name for path in job.path.rglob("*") if path.name.endswith((".tmp", ".part"))]
    said = {
        "full": full.returncode,
        "outcome": outcome,
        "again": again.returncode,
        "done": job.stage(stage).done() is not None,
        "left": left,
        "log": job.log_tail(2000) if again.returncode else "",
    }
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
