"""Who embeds when: searches at once, imports in turns of which each is over soon."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import anyio

from api.store.chunks import Chunk

ALONE_TOKENS = 2048
"""Embedded in one turn while nobody else wants anything: about a second's work of one core."""
SHARED_TOKENS = 512
"""While other imports wait: one of two pages is through before it has waited as long as it takes itself."""
ASKED_TOKENS = 256
"""While somebody searches: a question waits for what is being embedded, so that is little."""
ASKED_SECONDS = 5.0
"""After a search another one is likely."""


class Turns:
    """Imports take turns in the order in which they come back for one; none begins while a question is embedded."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._questions = 0
        self._asked_at = -ASKED_SECONDS
        self._no_question = anyio.Event()

    @contextlib.contextmanager
    def question(self) -> Iterator[None]:
        """Embed the questions of a search."""
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            self._asked_at = time.monotonic()
            if not self._questions:
                self._no_question.set()
                self._no_question = anyio.Event()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[int]:
        """Embed passages of up to so many tokens."""
        async with self._lock:
            while self._questions:
                await self._no_question.wait()
            yield self._tokens()

    def _tokens(self) -> int:
        if time.monotonic() - self._asked_at < ASKED_SECONDS:
            return ASKED_TOKENS
        return SHARED_TOKENS if self._lock.statistics().tasks_waiting else ALONE_TOKENS


def fitting(chunks: Sequence[Chunk], tokens: int) -> Sequence[Chunk]:
    """The first of the chunks that are done in one turn; one at least."""
    end = 1
    left = tokens - chunks[0].tokens if chunks else 0
    while end < len(chunks) and chunks[end].tokens <= left:
        left -= chunks[end].tokens
        end += 1
    return chunks[:end]
