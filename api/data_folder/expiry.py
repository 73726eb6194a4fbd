"""What is kept for a while goes when its time is over: one task for all who keep such things."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from api.errors import ApiError

LOGGER = logging.getLogger("api.expiry")
EVERY_SECONDS = 600.0
"""Between two rounds. What is over is not found from then on, so that nobody waits for a round but the disk."""

Sweep = Callable[[datetime], Awaitable[None]]
"""Removes what was to be kept until then, in all workspaces."""


class Expiry:
    """Rounds over everybody's sweeps, the first one at the start."""

    def __init__(self) -> None:
        self._sweeps: list[Sweep] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, sweep: Sweep) -> None:
        """One more sweep in each round."""
        self._sweeps.append(sweep)

    def start(self, every_seconds: float = EVERY_SECONDS) -> None:
        """Go round in a task of the running loop."""
        self._task = asyncio.create_task(self._run(every_seconds))

    async def close(self) -> None:
        """Stop; what is over then goes after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self, now: datetime) -> None:
        """One round; a sweep that fails keeps none from the others, and is tried again in the next round."""
        for sweep in self._sweeps:
            try:
                await sweep(now)
            except ApiError as error:
                LOGGER.warning("What is over stays for now: %s", error.detail)
            except Exception:
                LOGGER.exception("What is over stays for now.")

    async def _run(self, every_seconds: float) -> None:
        while True:
            await self.sweep(datetime.now(UTC))
            await asyncio.sleep(every_seconds)
