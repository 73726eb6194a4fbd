"""Every child of the service starts here: `start` beside the event loop, `run` to its end, in a thread.

A child knows what its `env` says: nothing at all when it reads what a stranger wrote, else `environment()`, which holds
no secret. It ends with us, whatever happens; `finetune/job/child_process.py` says how, for it has children too.
"""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from typing import Any

from finetune.job.child_process import Limits, bound, environment, run
from finetune.job.child_process import start as start_detached

__all__ = ["NOTHING", "Limits", "environment", "run", "start", "start_detached"]

NOTHING: Mapping[str, str] = {}


async def start(
    command: Sequence[str], *, env: Mapping[str, str], limits: Limits | None = None, **streams: Any
) -> Process:
    """Start a child of this event loop's thread. `streams` are those of `asyncio.create_subprocess_exec`."""
    return await asyncio.create_subprocess_exec(*bound(command, limits=limits), env=env, **streams)
