"""How long a silent server is waited for: one that answers another request is alive, and the queue moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    """Bounds of time that begin anew with each sign of life."""

    def __init__(self) -> None:
        self._bounds: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def wait(self, seconds: float) -> AsyncIterator[asyncio.Timeout]:
        """Wait for what is inside; `TimeoutError` after so long without a sign of life."""
        async with asyncio.timeout(seconds) as bound:
            self._bounds[bound] = seconds
            try:
                yield bound
            finally:
                del self._bounds[bound]

    def heard(self) -> None:
        """There is a sign of life."""
        now = asyncio.get_running_loop().time()
        for bound, seconds in self._bounds.items():
            if not bound.expired():
                bound.reschedule(now + seconds)
