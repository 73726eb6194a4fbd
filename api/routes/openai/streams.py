"""Streams as OpenAI's SDKs read them: `data:` alone, a failure as an object `error`, `[DONE]` at the end."""

from collections.abc import AsyncGenerator

from fastapi import Request

from api.errors import ApiError
from api.http.openai_errors import error_body
from api.http.problems import stamped
from api.http.sse import EventStream, ServerEvent, while_connected

DONE = ServerEvent("", "[DONE]")


def failure(error: ApiError) -> ServerEvent:
    """What ends a stream that fails: the SDKs raise it with its message."""
    return ServerEvent("", error_body(stamped(error.as_problem())))


async def event_stream(http: Request, events: AsyncGenerator[ServerEvent, None]) -> EventStream:
    """The first event is there before the response starts, so that a refusal keeps its status."""
    try:
        first = await while_connected(http, anext(events))
    except BaseException:
        await events.aclose()
        raise
    return EventStream(events, first, failed=failure)
