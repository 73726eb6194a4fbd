"""Server-sent events that end for sure: with the client, with the server, or with an error event."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import anyio
from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from api.errors import ApiError, ClientGone, Unavailable
from api.http.problems import stamped

LOGGER = logging.getLogger("api.http.sse")
PING_SECONDS = 15.0
SEND_SECONDS = 60.0
"""Time a client may leave an event unread before its stream is given up."""
FAREWELL_SECONDS = 1.0
CLOSING_SECONDS = 10.0

T = TypeVar("T")


class ServerEvent(NamedTuple):
    """One event, without a name where `event` is empty; `data` is written as JSON, a text as it is."""

    event: str
    data: Any
    id: str | None = None


def problem_event(error: ApiError) -> ServerEvent:
    """A failure as the last event, `error`, with the problem as its data."""
    return ServerEvent("error", stamped(error.as_problem()))


class EventStream(Response):
    """Sends events as they come, all from one task, and closes `events` whatever happens.

    A failure becomes the last event, as `failed` writes it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[ServerEvent, None],
        first: ServerEvent | None = None,
        *,
        failed: Callable[[ApiError], ServerEvent] = problem_event,
        ping_seconds: float = PING_SECONDS,
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        """`first` was taken from `events` already, so that a refusal could keep its status."""
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._first = first
        self._events = events
        self._failed = failed
        self._ping_seconds = ping_seconds
        self._send_seconds = send_seconds
        self._sending = asyncio.Lock()  # half of what anyio's costs, and each event takes it
        self._sends_since = math.inf
        """When the event that is being sent was begun."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end or the client is gone."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
                group.start_soon(self._ping, send)
                group.start_soon(self._give_up_when_stalled, group.cancel_scope)
                await self._send_all(send)
                group.cancel_scope.cancel()
        except asyncio.CancelledError:
            with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._send_last(send, Unavailable("The service is stopping."))
            raise
        finally:
            with anyio.move_on_after(CLOSING_SECONDS, shield=True):
                await self._events.aclose()

    async def _send_all(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        try:
            if self._first:
                await self._send(send, _encoded(self._first))
            async for event in self._events:
                await self._send(send, _encoded(event))
        except ApiError as error:
            await self._send_last(send, error)
        except Exception:
            LOGGER.exception("a stream failed")
            await self._send_last(send, ApiError("A defect in the service; its log tells more."))
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, chunk: bytes, *, more: bool = True) -> None:
        async with self._sending:
            self._sends_since = anyio.current_time()
            await send({"type": "http.response.body", "body": chunk, "more_body": more})
            self._sends_since = math.inf

    async def _send_last(self, send: Send, error: ApiError) -> None:
        await self._send(send, _encoded(self._failed(error)), more=False)

    async def _ping(self, send: Send) -> None:
        while True:
            await anyio.sleep(self._ping_seconds)
            await self._send(send, KEEPALIVE_COMMENT)

    async def _give_up_when_stalled(self, scope: anyio.CancelScope) -> None:
        """One look for all events: a bound of time for each would cost as much as to send it."""
        left = self._send_seconds
        while left > 0:
            await anyio.sleep(left)
            left = min(self._sends_since - anyio.current_time(), 0) + self._send_seconds
        LOGGER.info("a stream was given up: its client does not read")
        scope.cancel()


async def begun(
    http: Request,
    events: AsyncGenerator[ServerEvent, None],
    failed: Callable[[ApiError], ServerEvent] = problem_event,
) -> EventStream:
    """A stream whose first event is there before the response starts, so that a refusal keeps its status."""
    try:
        first = await while_connected(http, anext(events))
    except BaseException:
        await events.aclose()
        raise
    return EventStream(events, first, failed=failed)


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`; `errors.ClientGone`, and `work` is cancelled, when the client goes away before."""
    result: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_gone, request.receive, group.cancel_scope)
        try:
            result.append(await work)
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure:
        raise failure
    if not result:
        raise ClientGone("The client closed the connection before its answer was there.")
    return result[0]


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _encoded(event: ServerEvent) -> bytes:
    data = event.data
    if not isinstance(data, str):
        data = json.dumps(data, ensure_ascii=False, allow_nan=False)
    return format_sse_event(data_str=data, event=event.event or None, id=event.id)
