"""One child process that holds one loaded model: how it is started, spoken to and ended."""

import asyncio
import json
import os
import secrets
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api import child_process
from api.errors import BackEndFailed, Unavailable
from api.runtime.llama_cpp.client import LlamaClient
from api.runtime.onnx.header import SUFFIX as ONNX

SERVER = Path(__file__).with_name("server.py")
ENCODER_SERVER = Path(__file__).parents[1] / "onnx" / "server.py"
_LOG_BYTES = 8000


class LoadFailed(BackEndFailed):
    """The engine could not load the file."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a child is started with; requests with equal launches share a child."""

    path: Path
    template: str
    context_length: int
    slots: int
    embeds: bool
    reranks: bool = False
    projector: Path | None = None

    @property
    def writes(self) -> bool:
        """Whether text comes out of it."""
        return not (self.embeds or self.reranks)

    @property
    def is_encoder(self) -> bool:
        """Whether ONNX Runtime runs it, which computes on the CPU alone; else llama.cpp does."""
        return self.path.suffix == ONNX


@dataclass(frozen=True, slots=True)
class Limits:
    """How every child is run. `stall_seconds` is the longest silence of a child that owes an answer, `deaths` how
    many within a minute are mended, `requests` how many may be open or wait. An encoder may have `most_threads` while
    no model writes.
    """

    threads: int
    most_threads: int = 1
    gpu_layers: int = -1
    start_seconds: float = 120.0
    stall_seconds: float = 120.0
    deaths: int = 5
    requests: int = 256
    program: Path = SERVER
    encoder_program: Path = ENCODER_SERVER


class Child:
    """A running child and its open requests. `turns` has one place for each generation at once."""

    def __init__(self, process: asyncio.subprocess.Process, launch: Launch) -> None:
        self.launch = launch
        self.client: LlamaClient
        self.turns = asyncio.Semaphore(launch.slots)
        self.open = 0
        self.used_at = time.monotonic()
        self.retired = False
        self.ends_by_itself = True
        self.expiry: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.process = process
        self.ended = asyncio.create_task(self._follow())
        self._log = b""

    @property
    def log(self) -> str:
        """The end of what it wrote to standard error."""
        told = self._log.decode(errors="replace").replace(str(self.launch.path), "the file")
        return told.replace(str(self.launch.projector), "the projector")

    def is_running(self) -> bool:
        """What the kernel says; the event loop learns of a death some moments later."""
        try:
            how = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.process.pid, how) is None
        except ChildProcessError:
            return False

    async def load(self, limits: Limits) -> None:
        """Have it load its model; after a failure it is gone."""
        try:
            answer = await asyncio.wait_for(self._hand_over(limits), limits.start_seconds)
        except TimeoutError as error:
            await self.stop()
            raise BackEndFailed(
                f"The model did not load within {limits.start_seconds:g} seconds. "
                "Raise LLM_FASTAPI_MODEL_START_SECONDS, or use a smaller model."
            ) from error
        except BaseException:
            await self.stop()
            raise
        if "address" not in answer:
            await asyncio.wait([self.ended])
            engine = "ONNX Runtime" if self.launch.is_encoder else "llama.cpp"
            raise LoadFailed(f"{engine} cannot load the model: {self._reason(answer)}")
        self.client = LlamaClient(answer["address"], answer["key"])

    def watch(self, stall_seconds: float) -> None:
        """Kill it when it has said nothing on any of its connections for so long; until `unwatch`."""
        silent_seconds = time.monotonic() - self.client.heard_at
        if silent_seconds >= stall_seconds:
            self.client.stalled = True
            self.kill()
        else:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(stall_seconds - silent_seconds, self.watch, stall_seconds)

    def unwatch(self) -> None:
        """It owes nobody an answer any more."""
        if self._alarm:
            self._alarm.cancel()

    def kill(self) -> None:
        """End it now; it has nothing to save."""
        self.retired = True
        with suppress(ProcessLookupError):
            self.process.kill()

    async def stop(self) -> None:
        """End it on purpose, and wait until it is gone."""
        self.ends_by_itself = False
        self.kill()
        await asyncio.wait([self.ended])

    async def _follow(self) -> None:
        """Keep the end of its log until that closes, then wait for the process: it is never a zombie."""
        assert self.process.stderr  # noqa: S101
        while part := await self.process.stderr.read(65536):
            self._log = (self._log + part)[-_LOG_BYTES:]
        await self.process.wait()

    async def _hand_over(self, limits: Limits) -> dict[str, Any]:
        """Tell it what to serve; its answer holds `address` or `error`."""
        key = secrets.token_urlsafe(32)
        config = {
            "path": str(self.launch.path),
            "projector": str(self.launch.projector or ""),
            "template": self.launch.template,
            "context_length": self.launch.context_length,
            "slots": self.launch.slots,
            "embeds": self.launch.embeds,
            "reranks": self.launch.reranks,
            "threads": limits.threads,
            "most_threads": limits.most_threads,
            "gpu_layers": limits.gpu_layers,
            "key": key,
        }
        assert self.process.stdin  # noqa: S101
        assert self.process.stdout  # noqa: S101
        with suppress(OSError):  # it ended before it read; its log says why
            self.process.stdin.write(json.dumps(config).encode() + b"\n")
            await self.process.stdin.drain()
        line = await self.process.stdout.readline()
        try:
            return {**json.loads(line), "key": key}
        except (ValueError, TypeError):
            self.kill()
            return {}

    def _reason(self, answer: dict[str, Any]) -> str:
        """The first error in its log that tells something; its exception says less."""
        errors = [line.partition(" E ")[2] for line in self.log.splitlines() if " E " in line]
        telling = [line for line in errors if "error" in line or "invalid" in line]
        said = answer.get("error", f"its process ended ({self.process.returncode})")
        return " ".join((telling or errors or [said])[0].split())[:300]


async def spawn(launch: Launch, limits: Limits) -> Child:
    """Start the process of a child; it loads nothing before `load`."""
    program = limits.encoder_program if launch.is_encoder else limits.program
    # llama.cpp runs ffprobe, where it finds one, over an image that it cannot decode
    found = {"PATH": os.devnull} if launch.projector else {}
    return Child(await _start(program, **found), launch)


async def devices(program: Path = SERVER) -> list[str]:
    """The kinds of device that the llama.cpp binding can compute on, such as `CPU` and `GPU`."""
    process = await _start(program, "--devices")
    try:
        output, _ = await process.communicate()
        answer = json.loads(output)
    except ValueError:
        answer = {"error": "the llama.cpp binding cannot be loaded"}
    if "devices" not in answer:
        raise Unavailable(f"{answer['error']}. Install it with: pip install xllamacpp")
    return list(answer["devices"])


async def _start(program: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-P", str(program), *arguments)
    try:
        return await child_process.start(
            command,
            env=child_process.environment() | environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"No process can be started for the model: {error.strerror}.") from error
