"""Every child of the service starts here: `start` beside the event loop, `run` to its end, in a thread.

A child knows what its `env` says: nothing at all when it reads what a stranger wrote, else `environment()`, which holds
no secret. It ends with us, whatever happens, but for a training. `finetune/job/child_process.py`, which has children
too, says how. A training also knows what the trackers that the operator names are configured by.
"""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from subprocess import Popen
from typing import Any

from finetune.job import child_process
from finetune.job.child_process import Limits, bound, environment, run, training_environment

__all__ = [
    "NOTHING",
    "Limits",
    "environment",
    "run",
    "start",
    "start_to_outlive_us",
    "training_environment",
]

NOTHING: Mapping[str, str] = {}


async def start(
    command: Sequence[str], *, env: Mapping[str, str], limits: Limits | None = None, **streams: Any
) -> Process:
    """Start a child of this event loop's thread. `streams` are those of `asyncio.create_subprocess_exec`."""
    return await asyncio.create_subprocess_exec(*bound(command, limits=limits), env=env, **streams)


def start_to_outlive_us(
    command: Sequence[str], *, env: Mapping[str, str], **streams: Any
) -> Popen[bytes]:
    """Start a child that goes on when we end. `streams` are those of `subprocess.Popen`."""
    return child_process.start(command, env=env, outlives_us=True, **streams)
