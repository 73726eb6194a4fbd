"""How long a silent server is waited for: one that answers another request is alive, and the queue moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    """Bounds of time that begin anew with each sign of life under the same key."""

    def __init__(self) -> None:
        self._bounds: dict[asyncio.Timeout, tuple[str, float]] = {}

    @asynccontextmanager
    async def wait(self, key: str, seconds: float) -> AsyncIterator[None]:
        """Wait for what is inside; `TimeoutError` after so long without a sign of life."""
        async with asyncio.timeout(seconds) as bound:
            self._bounds[bound] = (key, seconds)
            try:
                yield
            finally:
                del self._bounds[bound]

    def heard(self, key: str) -> None:
        """There is a sign of life."""
        now = asyncio.get_running_loop().time()
        for bound, (waits_for, seconds) in self._bounds.items():
            if waits_for == key and not bound.expired():
                bound.reschedule(now + seconds)
