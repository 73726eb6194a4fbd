"""A server that answers as a test says: any status, half a line, nothing at all."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.runtime import OllamaRuntime

JSONObject = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One answer; with status 0 not even a head. `then` is what follows the body: `end`, `close` after the end, `drop`
    in the middle of it, or `hang`; `waits` has it begin only when the test says so.
    """

    status: int = 200
    body: bytes = b""
    then: str = "end"
    waits: bool = False


def lines(*parts: JSONObject, then: str = "end") -> Said:
    """A stream of JSON lines."""
    return Said(200, b"".join(json.dumps(part).encode() + b"\n" for part in parts), then)


def piece(text: str) -> JSONObject:
    """A piece of an answer."""
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False}


def last(prompt_tokens: int = 20, tokens: int = 2, reason: str = "stop") -> JSONObject:
    """The last line of an answer."""
    counts = {"prompt_eval_count": prompt_tokens, "eval_count": tokens}
    return {**piece(""), "done": True, "done_reason": reason, **counts}


HANG_UP = Said(0, then="drop")
SILENCE = Said(0, then="hang")


class ScriptedOllama:
    """Has the models `chatty` and `vectors`. `script` lines up answers for a path; the last one is repeated."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, JSONObject]] = []
        self.heads: list[str] = []
        self.connections = 0
        self.hung_up = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.url = ""
        self._script: dict[str, deque[Said]] = defaultdict(deque)
        self.shown: dict[str, JSONObject] = {
            "chatty": {
                "template": "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}",
                "parameters": 'stop                           "<|end|>"\ntemperature                    0.5',
                "capabilities": ["completion", "thinking"],
                "details": {"quantization_level": "Q4_K_M"},
                "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
            },
            "vectors": {
                "details": {},
                "model_info": {
                    "general.architecture": "xlm",
                    "xlm.context_length": 512,
                    "xlm.pooling_type": 1,
                },
            },
        }

    def script(self, path: str, *answers: Said) -> None:
        """What the next calls of a path are answered with."""
        self._script[path].extend(answers)

    def sent(self, path: str) -> list[JSONObject]:
        """The bodies that came to a path."""
        return [body for _, one, body in self.requests if one == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        self.connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection is kept."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, path, _ = head.split(" ", 2)
        length = [h for h in head.lower().splitlines() if h.startswith("content-length")]
        body = await reader.readexactly(int(length[0].split(":")[1])) if length else b""
        self.requests.append((method, path, json.loads(body) if body else {}))
        said = self._answer(path, body)
        if said.waits:
            await self.may_answer.wait()
        if said.status:
            writer.write(f"HTTP/1.1 {said.status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            if said.body:
                writer.write(f"{len(said.body):x}\r\n".encode() + said.body + b"\r\n")
        if said.then in ("end", "close"):
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if said.then == "hang":
            await reader.read()
            self.hung_up.set()
        return said.then == "end"

    def _answer(self, path: str, body: bytes) -> Said:
        script = self._script[path]
        if script:
            return script.popleft() if len(script) > 1 else script[0]
        if path in ("/api/copy", "/api/delete"):
            return Said()
        if path == "/api/tags":
            return lines({"models": [{"name": f"{name}:latest"} for name in self.shown]})
        if path == "/api/show":
            name = json.loads(body)["model"].removesuffix(":latest")
            if name in self.shown:
                return lines(self.shown[name])
            return Said(404, json.dumps({"error": f"model '{name}' not found"}).encode())
        return Said(404, b"404 page not found")


@asynccontextmanager
async def scripted_ollama() -> AsyncIterator[ScriptedOllama]:
    """A running server."""
    ollama = ScriptedOllama()
    server = await asyncio.start_server(ollama.serve, "127.0.0.1", 0)
    ollama.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield ollama
    server.close()


def runtime_over(url: str, **limits: float) -> OllamaRuntime:
    """A runtime whose patience a test chooses."""
    seconds = {"start_seconds": 20.0, "stall_seconds": 20.0, **limits}
    client = OllamaClient(url, **seconds)
    expected = {"LLM_FASTAPI_DEFAULT_BASE_MODEL": "chatty", "LLM_FASTAPI_EMBEDDING_MODEL": "minilm"}
    return OllamaRuntime(client, context_length=4096, expected=expected)
