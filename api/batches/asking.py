"""Rows are asked several at a time; what is refused for now is asked again, and one refusal can be that of all."""

import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator

import anyio
from anyio.to_thread import run_sync

from api.batches.values import Answer, Row

STOPPED = frozenset({401, 403})
"""Answers that every other row would get too: the key does not open any more, or may not ask any more."""
UNAVAILABLE = 503
AGAIN = frozenset({429, UNAVAILABLE})
"""Answers that are others later."""
RETRY_SECONDS = 5.0
MOST_RETRY_SECONDS = 60.0
MOST_ASIDE = 20
"""Rows that let others go before; beyond, nothing is answered, it seems, and each waits in its place."""
AskBody = Callable[[bytes], Awaitable[Answer]]
Keep = Callable[[Row, Answer], Awaitable[None]]


class Asking:
    """Asks rows once through. Belongs to one event loop."""

    def __init__(self, rows_at_once: int, stops: Collection[int] = STOPPED) -> None:
        """An answer with one of the statuses `stops` ends it: it is `stopped` then, and kept nowhere."""
        self._rows_at_once = rows_at_once
        self._stops = stops
        self._scope = anyio.CancelScope()
        self._reading, self._keeping = anyio.Lock(), anyio.Lock()
        self._aside: deque[tuple[float, Row, int]] = deque()
        """Rows that are asked again when no other is left: from when on, and how often they were asked."""
        self.stopped: Answer | None = None

    def interrupt(self) -> None:
        """Ask no more rows."""
        self._scope.cancel()

    async def all(
        self, left: Iterator[Row], ask: AskBody, keep: Keep, *, seconds: float = float("inf")
    ) -> bool:
        """Ask what is left and keep the answers, one at a time; whether that came to its end in time."""
        self._scope.deadline = anyio.current_time() + seconds
        with self._scope:
            async with anyio.create_task_group() as group:
                for _ in range(self._rows_at_once):
                    group.start_soon(self._work, left, ask, keep)
        return not self._scope.cancelled_caught

    async def _work(self, left: Iterator[Row], ask: AskBody, keep: Keep) -> None:
        """Ask one row after the other, beside others who do the same."""
        while turn := await self._next(left):
            row, tries = turn
            answer = await self._answered(ask, row, tries)
            if answer is None:
                continue
            if answer.status in self._stops:
                self.stopped = answer
                self._scope.cancel()
                return
            async with self._keeping:
                await keep(row, answer)

    async def _next(self, left: Iterator[Row]) -> tuple[Row, int] | None:
        """A row, and how often it was asked in vain: of those that were put aside when no other is left."""
        async with self._reading:
            row: Row | None = await run_sync(next, left, None)
        if row is not None:
            return row, 0
        if not self._aside:
            return None
        at, row, tries = self._aside.popleft()
        await anyio.sleep_until(at)
        return row, tries

    async def _answered(self, ask: AskBody, row: Row, tries: int) -> Answer | None:
        """The answer; what is refused for now is asked again. None where it was put aside until others are asked, for
        one that cannot be answered for long would hold their place.
        """
        for tried in itertools.count(tries + 1):
            answer = await ask(row.body)
            if answer.status not in AGAIN:
                break
            later = answer.retry_after_seconds
            later = RETRY_SECONDS if later is None else later
            if answer.status == UNAVAILABLE:  # nobody knows when, where 429 does
                later *= tried
            later = min(later, MOST_RETRY_SECONDS)
            if answer.status == UNAVAILABLE and len(self._aside) < MOST_ASIDE:
                self._aside.append((anyio.current_time() + later, row, tried))
                return None
            await anyio.sleep(later)
        return answer
