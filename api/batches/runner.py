"""Brings the batches of all workspaces to their end: of each key a few at once, the oldest first.

Those that were on their way when a process ended go on at the next start.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine

from anyio.to_thread import run_sync

from api.batches.cards import Cards
from api.batches.outcomes import counted
from api.batches.running import Running, discard
from api.batches.values import Ask, Batch, from_card
from api.data_folder.shelf import readable
from api.errors import ApiError, NotFound
from api.files.files import Files

LOGGER = logging.getLogger("api.batches")
AT_ONCE = 4
"""Batches of one key; its others wait. So no key's batches hold up those of another."""
RETRY_SECONDS = 10.0
"""How long a batch waits that could not be brought on, because of a full disk it may be."""
FilesOf = Callable[[str], Files]


class BatchRunner:
    """Which batches are on their way. Belongs to one event loop."""

    def __init__(
        self, cards: Cards, rows_at_once: int, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        """`rows_at_once` are those of each batch."""
        self.cards = cards
        self._rows_at_once = rows_at_once
        self._retry_seconds = retry_seconds
        self._waiting: dict[str, str] = {}
        self._begun: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._running: dict[str, Running] = {}
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, files_of: FilesOf, ask: Ask) -> None:
        """Bring them on, in tasks of the running loop; `files_of` gives the files of a workspace."""
        self._go(self._run(files_of, ask))

    async def close(self) -> None:
        """Let them wait for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, batch: Batch) -> None:
        """Bring on another one."""
        if batch.id not in self._begun:
            self._waiting[batch.id] = batch.key
            if batch.status == "cancelling":
                self._cancelled.add(batch.id)
            self._woken.set()

    def interrupt(self, id: str) -> None:
        """It is cancelled: its card says so already. It asks nothing more, and waits for no other to end."""
        if id in self._waiting or id in self._begun:
            self._cancelled.add(id)
            self._woken.set()
        if id in self._running:
            self._running[id].interrupt()

    def length(self, key: str) -> int:
        """How many of a key are on their way."""
        return [*self._waiting.values(), *self._begun.values()].count(key)

    def figures(self) -> tuple[int, int]:
        """How many are brought on now, and how many wait for another of their key to end."""
        return len(self._begun), len(self._waiting)

    async def answered(self, id: str) -> tuple[int, int]:
        """How many rows of a batch that is on its way were answered, and how many refused."""
        running = self._running.get(id)
        if running and running.outcomes:
            return running.outcomes.completed, running.outcomes.failed
        return await run_sync(lambda: counted(self.cards.folder(id)))

    async def _run(self, files_of: FilesOf, ask: Ask) -> None:
        try:
            for batch in await run_sync(self._left):
                self.add(batch)
        except Exception:
            LOGGER.exception("Batches of an earlier process cannot be read: they wait for a start.")
        while True:
            self._woken.clear()
            for id, key in list(self._waiting.items()):
                if id in self._cancelled or list(self._begun.values()).count(key) < AT_ONCE:
                    self._begun[id] = self._waiting.pop(id)
                    self._go(self._bring(id, files_of, ask))
            await self._woken.wait()

    def _left(self) -> list[Batch]:
        """What an earlier process left, the oldest first; of what has ended what it needed is removed."""
        found = []
        for batch in readable(self.cards.shelf.all(), from_card):
            if batch.is_over:
                discard(self.cards.folder(batch.id))
            else:
                found.append(batch)
        return found[::-1]

    async def _bring(self, id: str, files_of: FilesOf, ask: Ask) -> None:
        try:
            files = files_of(await self.cards.owner(id))
            running = Running(id, self.cards, files, ask, self._rows_at_once)
            self._running[id] = running
            batch = await running.to_end()
            LOGGER.info("Batch %s: %s.", id, batch.status)
        except NotFound:
            LOGGER.warning("Batch %s is gone.", id)
        except Exception as error:
            _tell(id, error)
            await asyncio.sleep(self._retry_seconds)
            self._waiting[id] = self._begun[id]
        finally:
            self._running.pop(id, None)
            del self._begun[id]
            if id not in self._waiting:
                self._cancelled.discard(id)
            self._woken.set()

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _tell(id: str, error: Exception) -> None:
    """A full disk is no defect."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError | ApiError):
        LOGGER.warning("Batch %s waits: %s", id, error)
    else:
        LOGGER.error("Batch %s waits:", id, exc_info=error)
