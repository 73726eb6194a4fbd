"""Blocking work in a thread that a cancelled caller still waits for, so that no file is used twice at once."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread; a cancellation takes effect when the work is done."""
    task = asyncio.create_task(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def in_thread_for_good(work: Callable[[], T]) -> T:
    """Do blocking work in a thread that cannot be broken off any more: a cancellation comes too late, and is not heard.
    For short work alone.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()
