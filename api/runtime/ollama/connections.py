"""Connections to one server for answers that are streamed, kept a moment for the next.

The client's own pool looks through all of them whenever an answer begins or ends, and its way round a request costs as
much as the request: with a thousand answers at once that is most of what they cost.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import anyio
import httpcore
import httpx

KEPT = 32
KEPT_SECONDS = 2.0
"""Shorter than any server or proxy keeps one: what is closed is closed by us, and not under the next question."""
END_SECONDS = 1.0
"""For the end of an answer whose last line is there."""


class Connections:
    """To the server of a base URL. `headers` go with every request."""

    def __init__(self, base: httpx.URL, headers: httpx.Headers) -> None:
        self._base = base
        self._headers = [
            (b"Host", base.netloc),
            *(pair for pair in headers.raw if pair[0].lower() != b"accept-encoding"),
        ]
        self._origin = self._url("").origin
        is_secret = base.scheme == "https"
        self._trusted = httpx.create_ssl_context(trust_env=False) if is_secret else None
        self._free: list[httpcore.AsyncHTTPConnection] = []

    @asynccontextmanager
    async def post(
        self, path: str, body: bytes, connect_seconds: float
    ) -> AsyncIterator[httpcore.Response]:
        """The answer to a body of JSON, which begins; errors of httpcore. An answer that was read to its end leaves its
        connection to the next, any other closes it.
        """
        request = httpcore.Request(
            "POST",
            self._url(path),
            headers=[*self._headers, (b"Content-Length", str(len(body)).encode())],
            content=body,
            extensions={"timeout": {"connect": connect_seconds}},
        )
        connection = await self._take()
        try:
            answer = await connection.handle_async_request(request)
            try:
                yield answer
            finally:
                with anyio.CancelScope(shield=True):
                    await answer.aclose()
        finally:
            with anyio.CancelScope(shield=True):
                await self._give_back(connection)

    async def close(self) -> None:
        """Close those that nobody uses."""
        while self._free:
            await self._free.pop().aclose()

    def _url(self, path: str) -> httpcore.URL:
        base = self._base
        target = base.raw_path.rstrip(b"/") + path.encode()
        return httpcore.URL(
            scheme=base.raw_scheme, host=base.raw_host, port=base.port, target=target
        )

    async def _take(self) -> httpcore.AsyncHTTPConnection:
        """The one that was used last, for it is the likeliest to be open; else a new one."""
        while self._free:
            connection = self._free.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore.AsyncHTTPConnection(
            self._origin, ssl_context=self._trusted, keepalive_expiry=KEPT_SECONDS
        )

    async def _give_back(self, connection: httpcore.AsyncHTTPConnection) -> None:
        if connection.is_idle() and len(self._free) < KEPT:
            self._free.append(connection)
        else:
            await connection.aclose()
        while self._free and self._free[0].has_expired():
            await self._free.pop(0).aclose()


async def lines(answer: httpcore.Response) -> AsyncGenerator[bytes, None]:
    """The lines of an answer that have something in them."""
    rest = b""
    async for piece in answer.aiter_stream():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line:
                yield line
    if rest:
        yield rest


async def to_the_end(answer: AsyncGenerator[bytes, None]) -> None:
    """Read what should be nothing more. What does not end soon, or breaks off, has said all that it had to."""
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(END_SECONDS), aclosing(answer):
            async for _ in answer:
                pass
