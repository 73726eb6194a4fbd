"""Carries requests to a server of our own, which is at another port with another key each time it was started."""

from collections.abc import Callable

import httpx2

from api.runtime.openai_style.transport import network


class ServedTransport(httpx2.AsyncBaseTransport):
    """A transport to loopback. `at` tells port and key for each request, or raises why there are none."""

    def __init__(self, at: Callable[[], tuple[int, str]]) -> None:
        self._at = at
        self._inner = network()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it to where the server is now."""
        port, key = self._at()
        request.url = request.url.copy_with(port=port)
        request.headers["Authorization"] = f"Bearer {key}"
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections; whoever comes later is carried over new ones."""
        inner, self._inner = self._inner, network()
        await inner.aclose()
