"""Streams as OpenAI's SDKs read them: `data:` alone, a failure as an object `error`, `[DONE]` at the end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import anyio
from fastapi import Request

from api.errors import ApiError
from api.http.openai_errors import error_body
from api.http.problems import stamped
from api.http.sse import EventStream, ServerEvent, begun

T = TypeVar("T")

DONE = ServerEvent("", "[DONE]")


def failure(error: ApiError) -> ServerEvent:
    """What ends a stream that fails: the SDKs raise it with its message."""
    return ServerEvent("", error_body(stamped(error.as_problem())))


async def event_stream(http: Request, events: AsyncGenerator[ServerEvent, None]) -> EventStream:
    """Begun as every stream, with failures as the SDKs read them."""
    return await begun(http, events, failure)


def merged(
    streams: Sequence[AsyncGenerator[T, None]], at_once: int
) -> AsyncGenerator[tuple[int, T], None]:
    """What several streams give, as it comes, each with its stream's number; `at_once` of them run at a time. The first
    failure ends all, and so does closing it.
    """
    return _only(streams[0]) if len(streams) == 1 else _all(streams, at_once)


async def _only(stream: AsyncGenerator[T, None]) -> AsyncGenerator[tuple[int, T], None]:
    """One alone, with no task between a model and who reads it."""
    async with aclosing(stream):
        async for one in stream:
            yield 0, one


async def _all(
    streams: Sequence[AsyncGenerator[T, None]], at_once: int
) -> AsyncGenerator[tuple[int, T], None]:
    arrived: asyncio.Queue[tuple[int, T] | Exception | None] = asyncio.Queue(len(streams))
    places = asyncio.Semaphore(at_once)
    tasks = [
        asyncio.create_task(_forward(number, stream, arrived, places))
        for number, stream in enumerate(streams)
    ]
    running = len(tasks)
    try:
        while running:
            came = await arrived.get()
            if isinstance(came, Exception):
                raise came
            if came is None:
                running -= 1
            else:
                yield came
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(
    number: int,
    stream: AsyncGenerator[T, None],
    arrived: asyncio.Queue[tuple[int, T] | Exception | None],
    places: asyncio.Semaphore,
) -> None:
    """All of one stream, when it has a place, and then how it ended: None, or why not."""
    try:
        async with places, aclosing(stream):
            async for one in stream:
                await arrived.put((number, one))
    except Exception as error:
        await arrived.put(error)
    else:
        await arrived.put(None)


async def together(works: Sequence[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """The results of all, in their order; `at_once` of them run at a time. The first failure ends all, and so does
    being cancelled.
    """
    results: dict[int, T] = {}
    places = anyio.Semaphore(at_once)

    async def run(number: int, work: Callable[[], Awaitable[T]]) -> None:
        async with places:
            results[number] = await work()

    try:
        async with anyio.create_task_group() as group:
            for number, work in enumerate(works):
                group.start_soon(run, number, work)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [results[number] for number in range(len(works))]
