"""A real server in a process of its own, over a data folder that outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.events import server_events
from tests.listening import reserved
from tests.sharing import made_once

ROOT = Path(__file__).parents[2]
READY_SECONDS = 300


@dataclass
class Server:
    """`python -m api` on loopback; can be killed and started again on the same folder."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    client: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=120))

    def start(self, *, ready: bool = True, **settings: str) -> "Server":
        """Start it and wait until it is alive, and ready unless told otherwise."""
        with reserved() as port:
            process = self._start(port, {**self.settings, **settings})
            try:
                self._wait_for("/readyz" if ready else "/healthz")
            except BaseException:
                process.kill()
                raise
        return self

    def _start(self, port: int, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "LLM_FASTAPI_DATA_DIR": str(self.data_dir),
            "LLM_FASTAPI_PORT": str(port),
            "LLM_FASTAPI_PASSAGES": "3",  # what the demo model was made for, as in the quick start
            "LLM_FASTAPI_CHUNK_TOKENS": "32",
            "LLM_FASTAPI_CHUNK_OVERLAP_TOKENS": "0",
            **settings,
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        if self.client.is_closed:
            self.client = httpx2.Client(timeout=120)
        self.client.base_url = httpx2.URL(f"http://127.0.0.1:{port}")
        return self.process

    def _wait_for(self, path: str) -> None:
        assert self.process
        deadline = time.monotonic() + READY_SECONDS
        answer = "no answer"
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log()
            try:
                response = self.client.get(path)
            except httpx2.TransportError:
                time.sleep(0.05)
                continue
            if response.status_code == 200:
                return
            answer = response.text
            time.sleep(0.1)
        pytest.fail(f"{path}: {answer}\n{self.log()}")

    @property
    def log_path(self) -> Path:
        """Beside the data folder, which would be refused with a file of ours in it."""
        return self.data_dir.with_name(f"{self.data_dir.name}.log")

    def log(self) -> str:
        """What the server wrote, the newest part."""
        return self.log_path.read_text(errors="replace")[-4000:]

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end, and hang up; returns its status."""
        assert self.process
        self.process.terminate()
        status = self.process.wait(timeout=seconds)
        self.client.close()
        return status

    def kill(self) -> None:
        """End it as a power cut would; none of its children outlives it for long."""
        assert self.process
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        children = [Path(f"/proc/{child}") for child in listed.split()]
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 60
        while any(child.exists() for child in children):
            assert time.monotonic() < deadline, "a child is left behind"
            time.sleep(0.05)

    def events(self, method: str, path: str, **arguments: Any) -> list[tuple[str, Any]]:
        """All server-sent events of an answer."""
        with self.client.stream(method, path, **arguments) as response:
            assert response.status_code == 200, response.read()
            return list(server_events(response))


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after the first start: both bundled models are converted."""

    def start_once(folder: Path) -> None:
        server = Server(folder / "data").start()
        assert server.stop() == 0

    return made_once(tmp_path_factory, "prepared", start_once) / "data"


@pytest.fixture
def server(prepared_data: Path, tmp_path: Path) -> Iterator[Server]:
    """A started server on a fresh copy of that folder."""
    with started(prepared_data, tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def running(prepared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same for all tests of a file, which find there what those before them left."""
    with started(prepared_data, tmp_path_factory.mktemp("running")) as server:
        yield server


@contextmanager
def started(prepared_data: Path, folder: Path) -> Iterator[Server]:
    """A server on a fresh copy; one that a test has ended is left alone."""
    server = Server(copy_of(prepared_data, folder / "data")).start()
    yield server
    if server.process and server.process.poll() is None:
        server.stop()
    server.client.close()


def copy_of(source: Path, target: Path) -> Path:
    """A copy whose big immutable files are hard links."""
    subprocess.run(
        ["cp", "-al", str(source / "models"), str(source / "base_models"), "-t", _made(target)],
        check=True,
    )
    return target


def _made(folder: Path) -> str:
    folder.mkdir(parents=True)
    return str(folder)
