"""Starts the stages of one job from a process that has imported what they share, so that each begins at once.

Each stage is a process of its own all the same, forked from that one (`finetune/stages/__main__.py`). Not beside a GPU:
its driver does not survive a fork.
"""

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from finetune.job import child_process
from finetune.job.device import has_driver


def may_fork(drivers: Path = Path("/dev")) -> bool:
    """Whether this is Linux without a GPU."""
    return sys.platform == "linux" and not has_driver(drivers)


class Preloaded:
    """The process that has imported everything, for as long as a job runs."""

    def __init__(self, job: Path, env: dict[str, str], log: IO[bytes], lock: int) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = child_process.start(
                [sys.executable, "-m", "finetune.stages", str(theirs.fileno()), str(job)],
                env=env,
                stdout=log,
                stderr=log,
                pass_fds=(lock, theirs.fileno()),
                start_new_session=True,
            )

    def start(self, stage: str) -> "Forked":
        """Fork a stage, as soon as everything is imported. One at a time."""
        with suppress(OSError):  # `wait` sees that it is gone
            self._line.sendall(f"{stage}\n".encode())
        return Forked(self._process, self._line)

    def close(self) -> None:
        """End it; a stage that still runs gets SIGTERM."""
        self._line.close()
        self._process.terminate()
        self._process.wait()


class Forked:
    """A stage that was forked, with what is used of a `Popen`."""

    def __init__(self, parent: "subprocess.Popen[bytes]", line: socket.socket) -> None:
        self._parent = parent
        self._line = line
        self._said = b""
        self._code: int | None = None

    def wait(self, seconds: float) -> int:
        """Its exit code. Raises `subprocess.TimeoutExpired`."""
        while self._code is None:
            if not select.select([self._line], [], [], seconds)[0]:
                raise subprocess.TimeoutExpired("stage", seconds)
            received = b""
            with suppress(ConnectionResetError):
                received = self._line.recv(4096)
            self._said += received
            if not received:  # the parent is gone, and its children with it
                self._code = self._parent.wait()
            elif self._said.count(b"\n") == 2:
                self._code = int(self._said.split()[1])
        return self._code

    def poll(self) -> int | None:
        """Its exit code, when `wait` has seen one."""
        return self._code

    def terminate(self) -> None:
        """Ask it to end at its next safe point."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        """To the stage, or before it has begun to its parent."""
        begun = self._said.split(b"\n")[0] if b"\n" in self._said else b""
        with suppress(ProcessLookupError):
            os.kill(int(begun or self._parent.pid), number)
