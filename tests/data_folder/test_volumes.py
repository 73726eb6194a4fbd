"""Folders that are volumes of their own, as in containers."""

import subprocess
import sys
from pathlib import Path

from tests.data_folder.test_folder import require_mounting

PROGRAM = "tests.data_folder.programs.on_volumes_of_their_own"
ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-ec")
SCRIPT = """
for folder in documents jobs; do
    mkdir --parents "$1/$folder"
    mount -t tmpfs -o size=20m none "$1/$folder"
done
exec "$2" -m "$3" "$1"
"""


def test_what_has_no_place_is_put_aside_on_its_own_volume(tmp_path: Path) -> None:
    require_mounting()
    arguments = [*ALONE, SCRIPT, "sh", str(tmp_path), sys.executable, PROGRAM]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "documents/lost/DATE/doc_0123456789abcdef.pdf",
        "jobs/lost/DATE/job_0123456789abcdef",
        "2 2",
    ]
