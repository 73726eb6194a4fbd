"""Ways for a test to ask a running double, and what it likes to ask for."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.ollama_double.rows import HI, SHORT

JSON = dict[str, Any]
LONG = "word " * 900
ALTERNATING: JSON = {"type": "string", "pattern": "^(a b ){100}$"}


def _many(item: JSON) -> JSON:
    return {"type": "array", "minItems": 40, "maxItems": 40, "items": item}


WORDS = _many(_many(_many({"enum": ["word"]})))


@dataclass(frozen=True)
class Server:
    """A running double, what was uploaded to it, and ways to ask it."""

    http: httpx2.Client
    folder: Path
    uploads: dict[str, str]
    good: Path

    def ask(self, path: str, **body: Any) -> JSON:
        """The answer to a request that is not streamed."""
        answer = self.http.post(path, json={"stream": False, **body})
        parsed: JSON = answer.json()
        return parsed | {"status": answer.status_code}

    def chat(self, model: str = "demo", **body: Any) -> JSON:
        """The answer of a chat that is not streamed."""
        return self.ask("/api/chat", **{"model": model, "messages": HI, "options": SHORT, **body})

    def generate(self, model: str = "demo", **body: Any) -> JSON:
        """The answer of a completion that is not streamed."""
        return self.ask(
            "/api/generate", **{"model": model, "prompt": "Hi", "options": SHORT, **body}
        )

    def lines(self, path: str, **body: Any) -> list[JSON]:
        """All lines of a stream."""
        return [json.loads(line) for line in self.http.post(path, json=body).iter_lines()]

    def upload(self, content: bytes) -> str:
        """Store a blob; its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert self.http.post(f"/api/blobs/{digest}", content=content).status_code in (200, 201)
        return digest

    def create(self, name: str, source: bytes | str, **more: Any) -> JSON:
        """Make a model of a file's content or of another model; what `show` says of it."""
        origin: JSON = {"from": source}
        if isinstance(source, bytes):
            origin = {"files": {"m.gguf": self.upload(source)}}
        assert self.ask("/api/create", model=name, **origin, **more)["status"] == 200
        return self.ask("/api/show", model=name)

    def names(self) -> list[str]:
        """The names of all models."""
        return sorted(model["name"] for model in self.http.get("/api/tags").json()["models"])

    def loaded(self) -> JSON:
        """What is loaded, by name."""
        return {model["name"]: model for model in self.http.get("/api/ps").json()["models"]}


def until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something; fails when it does not happen in time."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def llama(server: Server) -> psutil.Process:
    """The process that holds the only loaded model of a double in this process."""
    blobs = str(server.folder / "blobs")
    (found,) = [
        child
        for child in psutil.Process().children(recursive=True)
        if any(each.path.startswith(blobs) for each in child.memory_maps())
    ]
    return found
