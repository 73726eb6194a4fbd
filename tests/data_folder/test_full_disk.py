"""On a disk without a free byte what takes space is refused, and what gives space back works."""

import subprocess
import sys
from pathlib import Path

from tests.data_folder.test_folder import require_mounting

PROGRAM = (sys.executable, "-m", "tests.data_folder.programs.deletes_on_a_full_disk")
ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c")


def test_deleting_works_on_a_full_disk(tmp_path: Path) -> None:
    require_mounting()
    disk = f"mount -t tmpfs -o size=40m none {tmp_path} && exec {' '.join(PROGRAM)} {tmp_path}"
    ended = subprocess.run([*ALONE, disk], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["full", "['1.pdf'] [] {} 1"]
