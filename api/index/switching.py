"""Documents change between two searches, never during one: a search that a change came into is done again."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from api.errors import ApiError

TRIES = 5
"""Of one search; where changes come without end the last one stands, which may lack what has just changed."""

Found = TypeVar("Found")


class Switching:
    """What is being switched, by the ids of collections."""

    def __init__(self) -> None:
        self._switches: Counter[str] = Counter()
        self._going: dict[str, anyio.Event] = {}
        self._one_at_a_time = anyio.Lock()

    @contextlib.asynccontextmanager
    async def switch(self, collection: str) -> AsyncIterator[None]:
        """Change what a collection's documents hold, and let the index follow."""
        async with self._one_at_a_time:
            self._switches[collection] += 1
            over = self._going[collection] = anyio.Event()
            try:
                yield
            finally:
                del self._going[collection]
                over.set()

    @contextlib.asynccontextmanager
    async def none(self) -> AsyncIterator[None]:
        """Nothing is switched meanwhile."""
        async with self._one_at_a_time:
            yield

    async def steadily(
        self, collections: Sequence[str], search: Callable[[], Awaitable[Found]]
    ) -> Found:
        """What is found there before a switch or after it."""
        for _ in range(TRIES - 1):
            for going in [self._going[one] for one in collections if one in self._going]:
                await going.wait()
            before = [self._switches[one] for one in collections]
            try:
                found = await search()
            except ApiError:
                if before == [self._switches[one] for one in collections]:
                    raise
            else:
                if before == [self._switches[one] for one in collections]:
                    return found
        return await search()
