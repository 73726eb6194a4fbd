"""A process that has imported what its work needs, and forks a child for each request: no child begins from nothing.

The server is a child like any other (`api/child_process.py`), started with the first request, and again when it is
gone. With each request it gets two sockets: over one its child reads the request and answers, over the other the server
says how the child has ended; it ends the child when we close that one first. `reading/__main__.py` is such a server.
"""

import asyncio
import logging
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from api import child_process
from api.errors import Unavailable

log = logging.getLogger(__name__)

PIECE_BYTES = 2**18
WORDS_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child has ended, a signal as a negative number, and what it has answered."""

    code: int
    answer: bytes


class ForkServer:
    """Starts the server and asks it, beside the event loop of one thread."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._command = command
        self._env = env
        self._starting = asyncio.Lock()
        self._line: socket.socket | None = None  # to the one that takes requests
        self._processes: list[Process] = []
        self._words: asyncio.Task[bytes] | None = None

    async def run(self, request: bytes, seconds: float) -> Ended:
        """What a child makes of the request. Raises `TimeoutError` when it is not there in time, and ends it.

        It begins once more where the server is ended meanwhile; `errors.Unavailable` where it is ended again.
        """
        for _ in range(2):
            line = await self._running()
            try:
                async with asyncio.timeout(seconds):
                    ended = await _asked(line, request)
            except TimeoutError:
                self._retire(line)  # it may be the server that hangs
                raise
            if ended is None or ended.code < 0:
                self._retire(line)  # by crashes nobody learns where things are in the next child
            if ended:
                return ended
        log.error("The process that reads documents was ended twice: %s", await self._last_words())
        raise Unavailable(
            "The process that reads documents does not start; the log says why. It is tried again.",
            retry_after_seconds=5,
        )

    async def close(self) -> None:
        """End the server. Its children end with it."""
        if self._line:
            self._retire(self._line)
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._words:
            await asyncio.wait([self._words], timeout=1)

    async def _running(self) -> socket.socket:
        async with self._starting:
            if self._line is None:
                self._line, theirs = socket.socketpair()
                self._line.setblocking(False)
                with theirs:
                    await self._start(theirs.fileno())
            return self._line

    async def _start(self, line: int) -> None:
        process = await child_process.start(
            [*self._command, str(line)],
            env=self._env,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            pass_fds=(line,),
        )
        assert process.stderr  # noqa: S101
        self._words = asyncio.create_task(_end_of(process.stderr))
        self._processes = [one for one in self._processes if one.returncode is None] + [process]

    async def _last_words(self) -> str:
        """The last line that the newest server has said, if it is gone."""
        if self._words is None:
            return "nothing"
        await asyncio.wait([self._words], timeout=1)
        said = self._words.result() if self._words.done() else b""
        return (said.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]

    def _retire(self, line: socket.socket) -> None:
        """The next request starts another server; this one ends after its last child."""
        line.close()
        if line is self._line:
            self._line = None


async def _asked(line: socket.socket, request: bytes) -> Ended | None:
    """None when the server is gone before its child."""
    loop = asyncio.get_running_loop()
    answer, answers = socket.socketpair()
    control, controls = socket.socketpair()
    with answer, control:
        answer.setblocking(False)
        control.setblocking(False)
        said = b""
        with suppress(OSError):  # the child ends before it has read all, or the server is gone
            with answers, controls:
                socket.send_fds(line, [b"\0"], [answers.fileno(), controls.fileno()])
            await loop.sock_sendall(answer, request)
            answer.shutdown(socket.SHUT_WR)
            said = await _all_of(answer)
        code = await _all_of(control)
    return Ended(int(code), said) if code else None


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """The last of what comes until the other side is closed."""
    end = b""
    while part := await stream.read(PIECE_BYTES):
        end = (end + part)[-WORDS_BYTES:]
    return end


async def _all_of(end: socket.socket) -> bytes:
    """What comes until the other side is closed."""
    loop = asyncio.get_running_loop()
    parts = []
    while part := await loop.sock_recv(end, PIECE_BYTES):
        parts.append(part)
    return b"".join(parts)
