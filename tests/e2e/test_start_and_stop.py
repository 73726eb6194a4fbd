"""What a start refuses, what a death leaves, how a stop ends."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from api.store import open_store
from tests.e2e.conftest import ROOT, Server, copy_of


def serve(data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A start that must be refused."""
    environment = os.environ | {"LLM_FASTAPI_DATA_DIR": str(data_dir), "LLM_FASTAPI_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_beyond_loopback_without_a_key_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = serve(tmp_path / "data", LLM_FASTAPI_HOST="0.0.0.0")  # noqa: S104
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "LLM_FASTAPI_API_KEY" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_taken_port_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = serve(tmp_path / "data", LLM_FASTAPI_PORT=str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_damaged_database_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    database = tmp_path / "state.sqlite3"
    database.write_bytes(content)
    refused = serve(tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "state.sqlite3" in refused.stderr
    assert database.read_bytes() == content


def test_a_damaged_page_of_the_database_keeps_the_service_from_being_ready(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "state.sqlite3")
    store.close()
    with (tmp_path / "state.sqlite3").open("r+b") as file:
        file.seek(file.seek(0, os.SEEK_END) // 8192 * 4096)
        file.write(b"\xff" * 4096)
    server = Server(tmp_path).start(ready=False)
    deadline = time.monotonic() + 60
    while "damaged" not in (said := server.client.get("/readyz").json()["checks"]["service"]):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    assert "backup" in said
    refused = server.client.get("/list_models")
    assert (refused.status_code, refused.json()["detail"]) == (503, said)
    backup = run(server, "backup", str(tmp_path.parent / "backup"))
    assert (backup.returncode, backup.stdout) == (1, "")
    assert "is damaged" in backup.stderr
    assert server.stop() == 0


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.sqlite3") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    refused = serve(tmp_path)
    assert refused.returncode == 1
    assert "newer version" in refused.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    refused = serve(tmp_path, LLM_FASTAPI_LOADED_MODELS="none")
    assert refused.returncode == 1
    assert "LLM_FASTAPI_LOADED_MODELS" in refused.stderr


def test_a_misspelt_setting_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        settings = {"LLM_FASTAPI_ALOWED_HOSTS": "a.test", "LLM_FASTAPI_FOO": "1"}
        refused = serve(tmp_path / "data", LLM_FASTAPI_PORT=port, **settings)
    assert "LLM_FASTAPI_ALOWED_HOSTS is no setting: did you mean LLM_FASTAPI_ALLOWED_HOSTS?" in (
        refused.stderr
    )
    assert "LLM_FASTAPI_FOO is no setting: docs/settings.md lists them all." in refused.stderr


def test_a_second_server_on_the_folder_is_refused(server: Server) -> None:
    refused = serve(server.data_dir)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "Another server" in refused.stderr
    assert server.client.get("/healthz").status_code == 200


def test_a_stop_with_an_open_stream_ends_in_time(server: Server) -> None:
    body = {"modelName": "demo", "user_prompt": "Hello", "stream": True, "max_tokens": 2000}
    with server.client.stream("POST", "/generate", json=body) as response:
        next(response.iter_lines())
        assert server.stop() == 0


@pytest.fixture
def killable(prepared_data: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(copy_of(prepared_data, tmp_path / "data"))
    yield server
    if server.process and server.process.poll() is None:
        server.stop()


def test_an_import_that_was_killed_is_whole_afterwards(killable: Server) -> None:
    killable.start(LLM_FASTAPI_FAULT="import_vectors_stored")  # tests/documents has all points
    with pytest.raises(httpx2.TransportError):
        import_handbook(killable)
    assert killable.process
    assert killable.process.wait(timeout=60) == 137

    killable.start()
    again = import_handbook(killable)
    assert again.status_code in {200, 201}
    listed = killable.client.get("/list_documents", params={"modelName": "demo"}).json()
    assert listed["Imported Documents for demo"] == ["handbook"]
    hits = killable.client.post(
        "/search", json={"modelName": "demo", "query": "parking", "expand": False}
    ).json()["hits"]
    assert hits, killable.log()
    assert killable.stop() == 0, killable.log()
    assert doctor(killable).startswith("All is well.\n")


def test_a_delete_that_was_killed_is_finished_at_the_next_start(killable: Server) -> None:
    killable.start(LLM_FASTAPI_FAULT="delete_marked")
    assert import_handbook(killable).status_code == 201
    with pytest.raises(httpx2.TransportError):
        killable.client.delete("/deleteAll_Documents", params={"modelName": "demo"})
    killable.start()
    listed = killable.client.get("/list_documents", params={"modelName": "demo"}).json()
    assert listed["Imported Documents for demo"] == []
    deadline = time.monotonic() + 60
    while list((killable.data_dir / "documents").glob("*.pdf")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert killable.stop() == 0
    assert doctor(killable).startswith("All is well.\n")


def test_a_killed_server_leaves_no_child_behind(server: Server) -> None:
    assert server.process
    answer = server.client.post("/generate", json={"modelName": "demo", "user_prompt": "Hello"})
    assert answer.status_code == 200
    children = children_of(server.process.pid)
    assert children
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def import_handbook(server: Server, model: str = "demo") -> httpx2.Response:
    with (ROOT / "examples" / "handbook.pdf").open("rb") as file:
        return server.client.post(
            "/importDocument", params={"modelName": model}, files={"file": ("handbook.pdf", file)}
        )


def doctor(server: Server) -> str:
    done = run(server, "doctor", "--check")
    return done.stdout + done.stderr


def run(server: Server, *command: str) -> subprocess.CompletedProcess[str]:
    """A command over the server's data folder."""
    return subprocess.run(
        [sys.executable, "-m", "api", *command],
        cwd=ROOT,
        env=os.environ | {"LLM_FASTAPI_DATA_DIR": str(server.data_dir)},
        capture_output=True,
        text=True,
        timeout=120,
    )
