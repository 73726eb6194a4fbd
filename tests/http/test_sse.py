"""Server-sent events without a server: what is sent, and that the source is always closed."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from api.errors import BackEndFailed
from api.http.sse import EventStream, ServerEvent

pytestmark = pytest.mark.anyio
FOREVER = 60.0


class Source:
    """Events in a row, then whatever the test wants."""

    def __init__(self, *events: str, then: Exception | None = None, waits: bool = False) -> None:
        self.closed = False
        self._events = events
        self._then = then
        self._waits = waits

    async def events(self) -> AsyncGenerator[ServerEvent, None]:
        """The events; `closed` tells that nobody waits for more."""
        try:
            for name in self._events:
                yield ServerEvent(name, {"text": name})
            if self._then:
                raise self._then
            if self._waits:
                await asyncio.sleep(FOREVER)
        finally:
            self.closed = True


class Client:
    """The other end: reads everything, or nothing, until it leaves."""

    def __init__(self, *, reads: bool = True) -> None:
        self.text = ""
        self.ended = False
        self._reads = reads
        self._left = asyncio.Event()
        self._heard = asyncio.Condition()

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    async def receive(self) -> dict[str, Any]:
        """Nothing but the end of the connection."""
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take one message."""
        if message["type"] == "http.response.start":
            return
        if not self._reads:
            await asyncio.sleep(FOREVER)
        async with self._heard:
            self.text += message["body"].decode()
            self.ended = not message["more_body"]
            self._heard.notify_all()

    async def until_heard(self, text: str) -> None:
        """Wait for a text."""
        async with self._heard:
            await self._heard.wait_for(lambda: text in self.text)


async def serve(stream: EventStream, client: Client) -> None:
    await stream({"type": "http"}, client.receive, client.send)


async def test_events_are_sent_in_order_and_the_stream_ends() -> None:
    source, client = Source("one", "two"), Client()
    await serve(EventStream(source.events()), client)
    assert client.text == (
        'event: one\ndata: {"text": "one"}\n\nevent: two\ndata: {"text": "two"}\n\n'
    )
    assert client.ended
    assert source.closed


async def test_an_error_of_ours_is_the_last_event() -> None:
    source, client = Source("one", then=BackEndFailed("The child died.")), Client()
    await serve(EventStream(source.events()), client)
    assert client.text.count("event: ") == 2
    assert '"status": 502' in client.text
    assert client.ended


async def test_a_defect_is_an_error_event_that_tells_nothing_of_the_inside() -> None:
    source, client = Source("one", then=KeyError("secret")), Client()
    await serve(EventStream(source.events()), client)
    assert '"status": 500' in client.text
    assert "secret" not in client.text


async def test_a_client_that_leaves_closes_the_source() -> None:
    source, client = Source("one", waits=True), Client()
    serving = asyncio.create_task(serve(EventStream(source.events()), client))
    await client.until_heard("one")
    client.leave()
    await serving
    assert source.closed


async def test_a_client_that_never_reads_is_given_up() -> None:
    source, client = Source("one", "two", waits=True), Client(reads=False)
    await serve(EventStream(source.events(), send_seconds=0.01), client)
    assert source.closed


async def test_nor_does_a_failure_wait_for_it() -> None:
    source, client = Source(then=BackEndFailed("The child died.")), Client(reads=False)
    await serve(EventStream(source.events(), send_seconds=0.01), client)
    assert source.closed


async def test_an_idle_stream_is_kept_alive() -> None:
    source, client = Source("one", waits=True), Client()
    stream = EventStream(source.events(), ping_seconds=0.01)
    serving = asyncio.create_task(serve(stream, client))
    await client.until_heard(": ping\n\n: ping\n\n")
    client.leave()
    await serving


async def test_a_server_that_stops_says_so_in_the_stream() -> None:
    source, client = Source("one", waits=True), Client()
    serving = asyncio.create_task(serve(EventStream(source.events()), client))
    await client.until_heard("one")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert '"status": 503' in client.text
    assert client.ended
    assert source.closed


async def test_a_source_that_was_begun_is_closed_when_nobody_listens_any_more() -> None:
    source, client = Source("one", "two"), Client()
    events = source.events()
    first = await anext(events)
    client.leave()
    await serve(EventStream(events, first), client)
    assert source.closed
