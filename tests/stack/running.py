"""A stack of containers of its own: other names, volumes and port than a user's."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.events import server_events

ROOT = Path(__file__).parents[2]
SERVICES = ("fastapi", "ollama", "chromadb", "worker")
PORT = 3999
SETTINGS: Mapping[str, str] = {
    "COMPOSE_FILE": "docker-compose.yml:docker-compose.cpu.yml",
    "COMPOSE_PROJECT_NAME": "llm-fastapi-test",
    "LLM_FASTAPI_PORT": str(PORT),
    "LLM_FASTAPI_DEFAULT_BASE_MODEL": "demo",
    "LLM_FASTAPI_DEFAULT_TRAINABLE_MODEL": "demo",
    "LLM_FASTAPI_PASSAGES": "3",  # what the demo model was made for, as in the quick start
    "LLM_FASTAPI_CHUNK_TOKENS": "32",
    "LLM_FASTAPI_CHUNK_OVERLAP_TOKENS": "0",
}


@dataclass
class Stack:
    """`docker compose` on the repository's files, and a client of what it publishes."""

    client: httpx2.Client = field(
        default_factory=lambda: httpx2.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=300)
    )
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run a command of compose; returns what it wrote."""
        ended = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env=os.environ | self.settings,
            capture_output=True,
            text=True,
        )
        if check and ended.returncode != 0:
            raise AssertionError(f"{arguments}: {ended.stderr[-3000:]}")
        return ended.stdout + ended.stderr

    def up(self) -> float:
        """Start what does not run and wait until all is healthy; the seconds it took."""
        started = time.monotonic()
        self.compose("up", "--detach", "--wait", "--no-build")
        return time.monotonic() - started

    def kill(self, service: str) -> None:
        """End a container as a power cut would."""
        self.compose("kill", "--signal", "KILL", service)

    def doctor(self) -> str:
        """What the doctor finds off, with the API stopped meanwhile; empty when all is well."""
        self.compose("stop", "fastapi")
        try:
            said = self.compose(
                "run",
                "--rm",
                "--no-deps",
                "fastapi",
                "llm-fastapi",
                "doctor",
                "--check",
                check=False,
            )
        finally:
            self.up()
        return "" if "All is well." in said else said

    def events(self, method: str, path: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """The server-sent events of an answer as they come."""
        with self.client.stream(method, path, **arguments) as response:
            assert response.status_code == 200, response.read()
            yield from server_events(response)

    def wait_until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Ask again and again; an API that is down meanwhile is no answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if holds():
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.3)
        raise AssertionError(
            f"{what} after {seconds:.0f} s\n{self.compose('logs', '--tail', '40')}"
        )

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as the API tells it."""
        answer: dict[str, Any] = self.client.get(f"/jobs/{job_id}").json()
        return answer

    def generate(self, model: str, question: str, **options: Any) -> dict[str, Any]:
        """A whole answer."""
        body = {"modelName": model, "user_prompt": question, "temperature": 0, **options}
        response = self.client.post("/generate", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer
