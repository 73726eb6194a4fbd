"""Which of many things are brought on now: of each key a few at once, the oldest first.

One that breaks off, because of a full disk it may be, waits and is brought on again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass

from anyio.to_thread import run_sync

from api.errors import ApiError, NotFound

AT_ONCE = 4
"""Things of one key; its others wait. So no key's hold up those of another."""
RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A thing whose turn comes, and whose it is; one that is cancelled needs none."""

    id: str
    key: str
    is_cancelled: bool = False


class Line:
    """Such a line. Belongs to one event loop."""

    def __init__(self, what: str, *, retry_seconds: float = RETRY_SECONDS) -> None:
        """`what` is what the log calls a thing."""
        self._what = what
        self._log = logging.getLogger(f"api.{what}")
        self._retry_seconds = retry_seconds
        self._waiting: dict[str, str] = {}
        self._begun: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, left: Callable[[], Iterable[Waiting]], bring: Callable[[str], Awaitable[str]]
    ) -> None:
        """Bring them on, in tasks of the running loop: first what an earlier process has `left`, told in a thread.
        `bring` brings one on, and says as what it ended; `errors.NotFound` for one that is gone.
        """
        self._go(self._run(left, bring))

    async def close(self) -> None:
        """Let them wait for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, one: Waiting) -> None:
        """Bring on another one."""
        if one.id not in self._begun:
            self._waiting[one.id] = one.key
            if one.is_cancelled:
                self._cancelled.add(one.id)
            self._woken.set()

    def cancel(self, id: str) -> None:
        """It is cancelled: it waits for no other to end."""
        if id in self._waiting or id in self._begun:
            self._cancelled.add(id)
            self._woken.set()

    def has(self, id: str) -> bool:
        """Whether one waits or is brought on."""
        return id in self._waiting or id in self._begun

    def length(self, key: str) -> int:
        """How many of a key are on their way."""
        return [*self._waiting.values(), *self._begun.values()].count(key)

    def figures(self) -> tuple[int, int]:
        """How many are brought on now, and how many wait for another of their key to end."""
        return len(self._begun), len(self._waiting)

    async def _run(
        self, left: Callable[[], Iterable[Waiting]], bring: Callable[[str], Awaitable[str]]
    ) -> None:
        try:
            for one in await run_sync(left):
                self.add(one)
        except Exception:
            self._log.exception(
                "What an earlier process left cannot be read: it waits for a start."
            )
        while True:
            self._woken.clear()
            for id, key in list(self._waiting.items()):
                if id in self._cancelled or list(self._begun.values()).count(key) < AT_ONCE:
                    self._begun[id] = self._waiting.pop(id)
                    self._go(self._bring(id, bring))
            await self._woken.wait()

    async def _bring(self, id: str, bring: Callable[[str], Awaitable[str]]) -> None:
        what = self._what.capitalize()
        try:
            self._log.info("%s %s: %s.", what, id, await bring(id))
        except NotFound:
            self._log.warning("%s %s is gone.", what, id)
        except Exception as error:
            self._tell(id, error)
            await asyncio.sleep(self._retry_seconds)
            self._waiting[id] = self._begun[id]
        finally:
            del self._begun[id]
            if id not in self._waiting:
                self._cancelled.discard(id)
            self._woken.set()

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, id: str, error: Exception) -> None:
        """A full disk is no defect."""
        what = self._what.capitalize()
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, OSError | ApiError):
            self._log.warning("%s %s waits: %s", what, id, error)
        else:
            self._log.error("%s %s waits:", what, id, exc_info=error)
