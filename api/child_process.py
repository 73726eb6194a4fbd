"""Every child of the service starts here: `start` and `finished` beside the event loop, `run` in a thread.

A child knows what its `env` says: nothing at all when it reads what a stranger wrote, else `environment()`, which holds
no secret. It ends with us, whatever happens, but for a training. `finetune/job/child_process.py`, which has children
too, says how. A training also knows what the trackers that the operator names are configured by.
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import anyio

from finetune.job import child_process
from finetune.job.child_process import Limits, bound, environment, run, training_environment

__all__ = [
    "NOTHING",
    "Limits",
    "environment",
    "finished",
    "run",
    "start",
    "start_server",
    "start_to_outlive_us",
    "training_environment",
]

NOTHING: Mapping[str, str] = {}


async def start(
    command: Sequence[str], *, env: Mapping[str, str], limits: Limits | None = None, **streams: Any
) -> Process:
    """Start a child of this event loop's thread. `streams` are those of `asyncio.create_subprocess_exec`."""
    return await asyncio.create_subprocess_exec(*bound(command, limits=limits), env=env, **streams)


async def finished(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    limits: Limits | None = None,
    input: bytes = b"",
    seconds: float | None = None,
) -> CompletedProcess[bytes]:
    """Run a child to its end and take what it writes; cancelling it ends the child. Raises `TimeoutError` when the end
    is not there in time.
    """
    streams = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
    process = await start(command, env=env, limits=limits, **streams)
    try:
        async with asyncio.timeout(seconds):
            said, told = await process.communicate(input)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            code = await process.wait()
    return CompletedProcess(command, code, said, told)


async def start_server(command: Sequence[str], *, env: Mapping[str, str], log: Path) -> Process:
    """Start a server with a guard over it (`finetune/job/guard.py`), which is what is given back: the server, and all
    that it starts, end when the guard's standard input closes, as it does with us. What it writes is in `log`.
    """
    guard = (sys.executable, "-P", "-m", "finetune.job.guard", str(log), "--", *command)
    return await asyncio.create_subprocess_exec(
        *guard, env=env, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )


def start_to_outlive_us(
    command: Sequence[str], *, env: Mapping[str, str], **streams: Any
) -> Popen[bytes]:
    """Start a child that goes on when we end. `streams` are those of `subprocess.Popen`."""
    return child_process.start(command, env=env, outlives_us=True, **streams)
