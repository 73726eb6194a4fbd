"""A process that has imported what its work needs, and forks a child for each request: no child begins from nothing.

The server is a child like any other (`api/child_process.py`), started with the first request, and again when it is
gone. With each request it gets two sockets: over one its child reads the request and answers, over the other the server
says how the child has ended; it ends the child when we close that one first. `reading/__main__.py` is such a server.
"""

import asyncio
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from api import child_process

PIECE_BYTES = 2**18


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

    async def run(self, request: bytes, seconds: float) -> Ended:
        """What a child makes of the request. Raises `TimeoutError` when it is not there in time, and ends it.

        It begins once more where the server is ended meanwhile.
        """
        for _ in range(2):
            line = await self._running()
            async with asyncio.timeout(seconds):
                ended = await _asked(line, request)
            if ended is None or ended.code < 0:
                self._retire(line)  # by crashes nobody learns where things are in the next child
            if ended:
                return ended
        raise ChildProcessError("The process that forks others was ended twice.")

    async def close(self) -> None:
        """End the server. Its children end with it."""
        if self._line:
            self._retire(self._line)
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

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
            stderr=DEVNULL,
            pass_fds=(line,),
        )
        self._processes = [one for one in self._processes if one.returncode is None] + [process]

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


async def _all_of(end: socket.socket) -> bytes:
    """What comes until the other side is closed."""
    loop = asyncio.get_running_loop()
    parts = []
    while part := await loop.sock_recv(end, PIECE_BYTES):
        parts.append(part)
    return b"".join(parts)
