"""Brings the batches of all workspaces to their end: of each key a few at once, the oldest first.

Those that were on their way when a process ended go on at the next start.
"""

from collections.abc import Callable

from anyio.to_thread import run_sync

from api.batches.line import RETRY_SECONDS, Line, Waiting
from api.batches.outcomes import counted
from api.batches.running import Running, discard
from api.batches.values import Ask, Batch, from_card
from api.data_folder.cards import Cards
from api.data_folder.shelf import readable
from api.files.files import Files

FilesOf = Callable[[str], Files]


class BatchRunner:
    """Which batches are on their way. Belongs to one event loop."""

    def __init__(
        self, cards: Cards[Batch], rows_at_once: int, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        """`rows_at_once` are those of each batch."""
        self.cards = cards
        self._rows_at_once = rows_at_once
        self._line = Line("batch", retry_seconds=retry_seconds)
        self._running: dict[str, Running] = {}

    def start(self, files_of: FilesOf, ask: Ask) -> None:
        """Bring them on, in tasks of the running loop; `files_of` gives the files of a workspace."""

        async def bring(id: str) -> str:
            files = files_of(await self.cards.owner(id))
            self._running[id] = Running(id, self.cards, files, ask, self._rows_at_once)
            try:
                return (await self._running[id].to_end()).status
            finally:
                del self._running[id]

        self._line.start(self._left, bring)

    async def close(self) -> None:
        """Let them wait for the next start."""
        await self._line.close()

    def add(self, batch: Batch) -> None:
        """Bring on another one."""
        self._line.add(_waiting(batch))

    def interrupt(self, id: str) -> None:
        """It is cancelled: its card says so already. It asks nothing more, and waits for no other to end."""
        self._line.cancel(id)
        if id in self._running:
            self._running[id].interrupt()

    def length(self, key: str) -> int:
        """How many of a key are on their way."""
        return self._line.length(key)

    def figures(self) -> tuple[int, int]:
        """How many are brought on now, and how many wait for another of their key to end."""
        return self._line.figures()

    async def answered(self, id: str) -> tuple[int, int]:
        """How many rows of a batch that is on its way were answered, and how many refused."""
        running = self._running.get(id)
        if running and running.outcomes:
            return running.outcomes.completed, running.outcomes.failed
        return await run_sync(lambda: counted(self.cards.folder(id)))

    def _left(self) -> list[Waiting]:
        """What an earlier process left, the oldest first; of what has ended what it needed is removed."""
        found = []
        for batch in readable(self.cards.shelf.all(), from_card):
            if batch.is_over:
                discard(self.cards.folder(batch.id))
            else:
                found.append(_waiting(batch))
        return found[::-1]


def _waiting(batch: Batch) -> Waiting:
    return Waiting(batch.id, batch.key, is_cancelled=batch.status == "cancelling")
