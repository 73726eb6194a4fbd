"""One loaded model: its llama.cpp process, and the calls that Ollama makes to it."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.ollama_double.wire import Failure, JSONObject

_PROGRAM = Path(__file__).with_name("llama_child.py")
_STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)
_BROKEN = "an error was encountered while running the model: unexpected EOF"


@dataclass(frozen=True)
class Launch:
    """What a process is started with; a request that needs other values has it started anew."""

    path: Path
    jinja: bool
    embeds: bool
    context: int
    shifts: bool
    threads: int
    projector: Path | None = None


class Runner:
    """A running process. `turn` is held by the one request that generates."""

    def __init__(self, launch: Launch, process: asyncio.subprocess.Process) -> None:
        self.launch = launch
        self.turn = asyncio.Semaphore(1)
        self.process = process
        self.address = ""
        self._is_broken = False
        self._http = httpx2.AsyncClient()

    @classmethod
    async def start(cls, launch: Launch) -> "Runner":
        """Start a process and have it load its model."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(_PROGRAM)),
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
        )
        runner = cls(launch, process)
        try:
            await runner._load()
        except BaseException:
            await runner.stop()
            raise
        return runner

    async def _load(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        key = secrets.token_hex(16)
        paths = {"path": str(self.launch.path), "projector": str(self.launch.projector or "")}
        config = {**vars(self.launch), **paths, "key": key}
        self.process.stdin.write(json.dumps(config).encode() + b"\n")
        line = await self.process.stdout.readline()
        self.address = address = json.loads(line).get("address", "") if line else ""
        if not address:
            raise Failure(500, "llama-server process has terminated: exit status 1")
        self._http = httpx2.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=None,
            limits=httpx2.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    def is_running(self) -> bool:
        """What the kernel says, unless it broke off an answer."""
        if self._is_broken:
            return False
        try:
            how = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.process.pid, how) is None
        except ChildProcessError:
            return False

    async def stop(self) -> None:
        """End the process."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._http.aclose()

    async def call(self, path: str, body: JSONObject) -> Any:
        """One call that is answered at once."""
        try:
            answer = await self._http.post(path, json=body)
        except httpx2.HTTPError as fault:
            self._is_broken = True
            raise Failure(500, _STOPPED) from fault
        if answer.status_code != httpx2.codes.OK:
            raise Failure(answer.status_code, answer.text.strip())
        return answer.json()

    async def tokenize(self, text: str) -> list[int]:
        """The tokens of a prompt."""
        body = {"content": text, "add_special": True, "parse_special": True}
        return list((await self.call("/tokenize", body))["tokens"])

    async def apply_template(self, body: JSONObject) -> str:
        """The prompt that the GGUF's own template makes."""
        return str((await self.call("/apply-template", body))["prompt"])

    async def events(self, path: str, body: JSONObject) -> AsyncGenerator[JSONObject, None]:
        """The events of a streamed generation; closing the iterator cancels it."""
        began = False
        try:
            async with self._http.stream("POST", path, json={**body, "stream": True}) as answer:
                began = True
                if answer.status_code != httpx2.codes.OK:
                    raise Failure(answer.status_code, (await answer.aread()).decode().strip())
                async for line in answer.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        yield json.loads(line.removeprefix("data: "))
        except httpx2.HTTPError as fault:
            self._is_broken = True
            raise Failure(500, _BROKEN if began else _STOPPED) from fault
