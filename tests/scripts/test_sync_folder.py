"""A folder is brought into a collection over HTTP, by the script as it is called."""

import os
import subprocess
import sys
from pathlib import Path

from tests.documents.pdfs import drawing_only, pdf
from tests.service import listening_service

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "sync_folder.py"


def sync(folder: Path, port: int, *options: str) -> tuple[int, list[str]]:
    """The exit code, and the lines that it says."""
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        str(SCRIPT),
        str(folder),
        "--collection",
        "manuals",
        "--url",
        url,
        *options,
    ]
    environment = {**os.environ, "LLM_FASTAPI_API_KEY": "secret"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return ended.returncode, (ended.stdout + ended.stderr).splitlines()


def test_only_what_changed_in_a_folder_is_sent(tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    (folder / "old").mkdir(parents=True)
    (folder / "tower.pdf").write_bytes(pdf("The tower is 90 metres high."))
    (folder / "old" / "bridge.pdf").write_bytes(pdf("The bridge was built in 1901."))
    (folder / ".hidden.pdf").write_bytes(b"not looked at")
    with listening_service(tmp_path / "data", api_key="secret") as (port, house):
        code, lines = sync(folder, port)
        assert (code, lines[-1]) == (0, "2 new")
        assert set(lines[:-1]) == {"new       old - bridge.pdf", "new       tower.pdf"}
        (folder / "tower.pdf").write_bytes(pdf("The tower is 91 metres high."))
        (folder / "old" / "bridge.pdf").rename(folder / "bridge.pdf")
        (folder / "scan.pdf").write_bytes(drawing_only())
        code, lines = sync(folder, port, "--delete", "--at-once", "2")
        assert (code, lines[-1]) == (1, "1 deleted, 1 failed, 1 new, 1 replaced")
        assert [line for line in lines if "scan.pdf: " in line]
        (folder / "scan.pdf").unlink()
        code, lines = sync(folder, port, "--delete")
        assert (code, lines[-1]) == (0, "2 unchanged")
        found = house.store.documents.ready_in(house.scope("manuals"))
        assert {one.name for one in found} == {"bridge.pdf", "tower.pdf"}


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    code, lines = sync(tmp_path, 9)
    assert code == 2
    assert lines[-1].startswith("The service at http://127.0.0.1:9 does not answer")


def test_names_that_meet_and_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "manuals"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.txt").write_text("The first.")
    (folder / "a - b.txt").write_text("The second.")
    (folder / "x.PDF").write_bytes(pdf("The tower is 90 metres high."))
    (folder / "x.pdf").write_bytes(pdf("The tower is 91 metres high."))
    (folder / 'the "old\\new" one.txt').write_text("It has a name.")
    (folder / "unreadable.txt").symlink_to("/proc/self/mem")
    with listening_service(tmp_path / "data", api_key="secret") as (port, house):
        code, lines = sync(folder, port)
        assert (code, lines[-1]) == (1, "3 failed, 3 new")
        code, lines = sync(folder, port, "--delete")
        assert (code, lines[-1]) == (1, "3 failed, 3 unchanged")
        assert sum("has the name of another file" in line for line in lines) == 2
        assert any("unreadable.txt: it cannot be read" in line for line in lines)
        (tmp_path / "empty").mkdir()
        code, lines = sync(tmp_path / "empty", port, "--delete")
        assert (code, lines) == (2, ["The folder is empty: none of the 3 documents is deleted."])
        assert len(house.store.documents.ready_in(house.scope("manuals"))) == 3
