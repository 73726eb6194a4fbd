"""The life of a server that is started here: started, ready, started again when it dies, ended. It never outlives us.

Nothing is adopted: a server that outlived us would be an orphan whenever we do not come back. It starts anew with us.
"""

import asyncio
import logging
import math
import re
import secrets
import shutil
import socket
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakSet

from api import child_process
from api.backends.launch import Launch, Places, check, command
from api.errors import ApiError, DeviceInUse, Unavailable
from api.runtime.openai_style.client import OpenAIClient
from api.runtime.threads import in_thread
from api.runtime.training import Reserved
from finetune.job.device import Device, has_driver
from finetune.job.files import tail

LOGGER = logging.getLogger("api.backends")
State = Literal["stopped", "starting", "ready", "waiting", "failed"]
MOST_DEATHS = 5
"""Without a steady time between; then it is left alone until somebody changes its back end."""
STEADY_SECONDS = 60.0
"""A server that was ready for so long is well: its earlier deaths are forgotten."""
FIRST_PAUSE_SECONDS = 1.0
ENDING_SECONDS = 15.0
"""Its guard kills it long before."""
STARTING_RETRY_SECONDS = 5
FAILED_RETRY_SECONDS = 60
_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 2.0
_LOG_BYTES = 8192
_LOG_LINES = 20
_NOISE = re.compile(
    r" - (leaked|\.\.\. skipped) |nanobind: |See https://nanobind\.|.*resource_tracker"
)
"""How Triton's bindings and multiprocessing end the log of a vLLM that has ended, whatever ended it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A server as it is told: `why` it ended last, how often it was started again, and the end of its log."""

    state: State
    why: str
    deaths: int
    log: list[str]


class Server:
    """The server of one back end. Belongs to one event loop."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        places: Places,
        reserved: Reserved,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self.launch = launch
        self.ready: Callable[[], Awaitable[None]] | None = None
        """Called each time it has become ready."""
        self._name = name
        self._places = places
        self._reserved = reserved
        self._first_pause_seconds = first_pause_seconds
        self._state: State = "stopped"
        self._why = ""
        self._deaths = 0
        self._again_at = 0.0
        self._ready_at = math.inf
        self._at: tuple[int, str] | None = None
        self._is_leaving = False
        self._keeping: asyncio.Task[None] | None = None
        self._telling: asyncio.Future[None] | None = None
        self._stopping = asyncio.Lock()
        self._clients: WeakSet[OpenAIClient] = WeakSet()

    @property
    def open(self) -> int:
        """Calls that are under way, over whichever client."""
        return sum(client.open for client in self._clients)

    def asked_by(self, client: OpenAIClient) -> None:
        """One more client of it; each change of a back end makes another one, and the calls of the former go on."""
        self._clients.add(client)

    @property
    def device(self) -> Device:
        """Where it loads its model."""
        is_told_cpu = self.launch.arguments.get("device_map") == "cpu"
        return "gpu" if has_driver(self._places.drivers) and not is_told_cpu else "cpu"

    @property
    def fault(self) -> str:
        """What is the matter with it; empty while nothing is."""
        if self._state in ("waiting", "failed"):
            return f"The server of the back end {self._name!r} {self._why}."
        return ""

    def unstartable(self) -> str:
        """Why it could not be started now; empty where it could. Blocks."""
        try:
            check(self.launch, self._places)
        except ApiError as error:
            return f"The server of the back end {self._name!r} cannot be started: {error.detail}"
        return ""

    def seen(self) -> Seen:
        """How it does. Reads a few kilobytes of its log."""
        return Seen(self._state, self._why, self._deaths, _last_lines(self._places.log(self._name)))

    def address(self) -> tuple[int, str]:
        """Its port and its key; `errors.Unavailable` as long as it is not ready. One that is stopped is started."""
        if self._at is not None and not self._is_leaving:
            return self._at
        if self._state == "stopped" and not self._is_leaving:
            self.start()
        raise self._not_now()

    def start(self) -> None:
        """Start it, unless it runs; `errors.DeviceInUse` while a job trains where it would lie."""
        if self._keeping is not None and not self._keeping.done():
            return
        self._reserved.require_free(self.device)
        self._state, self._why, self._deaths = "starting", "", 0
        self._keeping = asyncio.create_task(self._keep())

    def leave(self) -> None:
        """Take no more: what is under way may end, then it is stopped."""
        self._is_leaving = True

    async def stop(self) -> None:
        """End it with all that it started. The next call of it starts it again."""
        async with self._stopping:  # a second one would break off what ends it
            if self._telling is not None:
                self._telling.cancel()
            try:
                if self._keeping is not None:
                    self._keeping.cancel()
                    await asyncio.wait([self._keeping])
            finally:
                self._state, self._is_leaving = "stopped", False

    def forget(self) -> None:
        """Its logs go; blocks."""
        shutil.rmtree(self._places.log(self._name).parent, ignore_errors=True)

    async def _keep(self) -> None:
        """Run it, again and again."""
        while True:
            self._state, self._ready_at = "starting", math.inf
            try:
                self._why = await self._run()
            except ApiError as error:
                self._why = f"cannot be started: {error.detail}".rstrip(".")
            except OSError as error:
                self._why = f"cannot be started: {error.strerror}"
            if time.monotonic() - self._ready_at >= STEADY_SECONDS:
                self._deaths = 0
            self._deaths += 1
            LOGGER.error("The server of the back end %r %s.", self._name, self._why)
            if self._deaths >= MOST_DEATHS:
                self._state = "failed"
                return
            pause = self._first_pause_seconds * 2 ** (self._deaths - 1)
            self._state, self._again_at = "waiting", time.monotonic() + pause
            await asyncio.sleep(pause)
            try:
                self._reserved.require_free(self.device)
            except DeviceInUse:
                self._state = "stopped"
                return

    async def _run(self) -> str:
        """From its start to its end; why it ended."""
        key, port = secrets.token_urlsafe(32), _free_port()
        log = self._places.log(self._name)
        said, env = await in_thread(lambda: command(self.launch, self._places, port, key))
        await in_thread(lambda: log.parent.mkdir(parents=True, exist_ok=True))
        process = await child_process.start_server(said, env=env, log=log)
        try:
            if not await self._is_ready(process, port, key):
                if process.returncode is None:
                    seconds = self.launch.start_seconds
                    return f"was not ready within {seconds:g} seconds; raise server.start_seconds"
                return _ended(process.returncode, log)
            self._at, self._state, self._ready_at = (port, key), "ready", time.monotonic()
            if self.ready is not None:
                self._telling = asyncio.ensure_future(self.ready())
            return _ended(await process.wait(), log)
        finally:
            self._at = None
            await _end(process)

    async def _is_ready(self, process: Process, port: int, key: str) -> bool:
        """Whether it has come to answer; not when it has ended, or its time is over."""
        client = OpenAIClient(self._name, f"http://127.0.0.1:{port}/v1", lambda: key)
        ended = asyncio.ensure_future(process.wait())
        try:
            async with asyncio.timeout(self.launch.start_seconds):
                while not ended.done():
                    with suppress(ApiError):
                        await client.get("/models", within_seconds=_ANSWER_SECONDS)
                        return True
                    await asyncio.wait([ended], timeout=_POLL_SECONDS)
        except TimeoutError:
            pass
        finally:
            ended.cancel()
            await client.close()
        return False

    def _not_now(self) -> Unavailable:
        """Why it cannot be asked."""
        seconds, what = (
            STARTING_RETRY_SECONDS,
            "is about to stop" if self._is_leaving else "is starting",
        )
        if self._state == "waiting":
            seconds += math.ceil(max(0.0, self._again_at - time.monotonic()))
            what = f"{self._why}; it is started again"
        elif self._state == "failed":
            seconds = FAILED_RETRY_SECONDS
            what = f"{self._why}; it did so {self._deaths} times. An admin can start it: PATCH /backends/{self._name}"
        said = f"The server of the back end {self._name!r} {what}."
        return Unavailable(said, retry_after_seconds=seconds)


async def _end(process: Process) -> None:
    """Have its guard end it, and wait; a guard that does not come to an end is killed, and its server with it."""
    assert process.stdin  # noqa: S101
    process.stdin.close()
    try:
        async with asyncio.timeout(ENDING_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _ended(status: int, log: Path) -> str:
    last = _last_lines(log)[-1:] or ["its log is empty"]
    how = f"signal {status - 128}" if status > 128 else f"status {status}"
    return f"ended ({how}): {last[0][:300]}".rstrip(".")


def _last_lines(log: Path) -> list[str]:
    lines = tail(log, _LOG_BYTES).splitlines()
    said = [line.rstrip() for line in lines if line.strip() and not _NOISE.match(line)]
    return said[-_LOG_LINES:]
