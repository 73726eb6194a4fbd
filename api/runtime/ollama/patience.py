"""How long a silent server is waited for: one that answers another request is alive, and the queue moves."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SIGNS_SECONDS = 0.05
"""Signs that come sooner after one are not looked at: a thousand answers give thousands a second, to all who wait."""


class Patience:
    """Bounds of time that begin anew with a sign of life."""

    def __init__(self) -> None:
        self._bounds: dict[asyncio.Timeout, float] = {}
        self._heard_at = -math.inf

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
        if now - self._heard_at < SIGNS_SECONDS:
            return
        self._heard_at = now
        for bound, seconds in self._bounds.items():
            if not bound.expired():
                bound.reschedule(now + seconds)
