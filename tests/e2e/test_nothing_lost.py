"""The way that the service's own messages lead, from a damaged database to everything being back."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, copy_of
from tests.e2e.test_start_and_stop import import_handbook, serve
from tests.e2e.test_start_and_stop import run as command

WELL = [
    "All is well.",
    "note: Collection 'ada', 1 document: embedded by all-minilm-l6-v2-int8, which is there.",
]


@pytest.fixture(scope="module")
def kept(prepared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a persona and a document of it, and beside it a backup that was taken while it served."""
    folder = tmp_path_factory.mktemp("kept")
    server = Server(copy_of(prepared_data, folder / "data")).start()
    client = server.client
    persona = {"system": "You are Ada.", "baseModel": "demo"}
    assert client.post("/createModel/ada", json=persona).status_code in {200, 201}
    assert import_handbook(server, "ada").status_code == 201
    backup = command(server, "backup", str(folder / "backup"))
    assert "Documents: 1, jobs: 0" in backup.stdout, backup.stderr
    assert server.stop() == 0
    return folder


@pytest.fixture
def filled(kept: Path, tmp_path: Path) -> Server:
    """A stopped server over a copy of them."""
    folders = [str(kept / name) for name in ("data", "backup")]
    subprocess.run(["cp", "-a", *folders, "-t", str(tmp_path)], check=True)
    return Server(tmp_path / "data")


def told_by_doctor(server: Server) -> list[str]:
    """Its lines, but for what the machine has for a sandbox."""
    lines = command(server, "doctor").stdout.splitlines()
    return [line for line in lines if not line.startswith("note: Functions run")]


def listed(server: Server) -> tuple[list[str], list[str]]:
    """The documents of the persona, and the models."""
    documents = server.client.get("/list_documents", params={"modelName": "ada"}).json()
    models = server.client.get("/list_models").json()
    return documents["Imported Documents for ada"], models["All Created Models"]


def test_a_damaged_database_that_is_moved_away_as_the_message_says_loses_nothing(
    filled: Server,
) -> None:
    database = filled.data_dir / "state.sqlite3"
    database.write_bytes(b"\x07" * 8192)
    refused = serve(filled.data_dir)
    assert refused.returncode == 1
    assert "move it away" in refused.stderr
    assert "doctor --adopt" in refused.stderr
    for path in filled.data_dir.glob("state.sqlite3*"):
        path.rename(filled.data_dir.parent / path.name)
    before = sorted((filled.data_dir / "documents").glob("doc_*"))

    filled.start()
    hints = " ".join(filled.client.get("/readyz").json()["hints"])
    assert "documents/ and the database do not belong together" in hints
    assert "models/" in hints
    assert "doctor" in hints
    assert "do not belong together" in filled.log()
    assert filled.stop() == 0
    told = command(filled, "doctor")
    assert told.returncode == 1
    assert "doctor --adopt" in told.stdout
    assert sorted((filled.data_dir / "documents").glob("doc_*")) == before
    adopted = command(filled, "doctor", "--adopt")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert "imported again as 'handbook.pdf'" in adopted.stdout
    assert told_by_doctor(filled) == WELL
    filled.start()
    assert listed(filled) == (["handbook"], ["ada", "demo"])
    assert not any("belong" in hint for hint in filled.client.get("/readyz").json()["hints"])
    assert filled.stop() == 0


def test_a_backup_of_a_running_service_is_restored_by_copying(
    filled: Server, tmp_path: Path
) -> None:
    subprocess.run(["rm", "-rf", str(filled.data_dir)], check=True)
    subprocess.run(["cp", "-a", str(tmp_path / "backup"), str(filled.data_dir)], check=True)
    filled.start()
    assert listed(filled) == (["handbook"], ["ada", "demo"])
    hits = filled.client.post(
        "/search", json={"modelName": "ada", "query": "parking", "expand": False}
    )
    assert hits.json()["hits"]
    assert filled.stop() == 0
    assert told_by_doctor(filled) == WELL


def test_a_document_that_came_since_the_backup_is_taken_back_though_another_model_has_its_file(
    filled: Server, tmp_path: Path
) -> None:
    filled.start()
    assert filled.client.post("/createModel/bob", json={"baseModel": "demo"}).is_success
    assert import_handbook(filled, "bob").status_code == 201
    assert filled.stop() == 0
    for path in filled.data_dir.glob("state.sqlite3*"):
        path.unlink()
    shutil.copy(tmp_path / "backup" / "state.sqlite3", filled.data_dir)
    adopted = command(filled, "doctor", "--adopt")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert "Model bob is known again as made of demo." in adopted.stdout
    assert command(filled, "doctor", "--check").stdout.splitlines()[0] == "All is well."
    filled.start()
    assert listed(filled)[0] == ["handbook"]
    documents = filled.client.get("/list_documents", params={"modelName": "bob"}).json()
    assert documents["Imported Documents for bob"] == ["handbook"]
    assert filled.stop() == 0
