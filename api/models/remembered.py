"""What was read of the database by a name, held until something is written to it.

Of models and collections this process alone writes: other ones write keys.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from anyio.to_thread import run_sync

from api.store.database import Database

T = TypeVar("T")
MOST = 1000
"""Names that are held, which may be any that clients send."""


class Remembered(Generic[T]):
    """Belongs to one event loop. `read` blocks; what it raises is not held."""

    def __init__(self, database: Database, read: Callable[[str], T]) -> None:
        self._database = database
        self._read = read
        self._held: dict[str, T] = {}
        self._as_of = database.writes

    async def of(self, name: str) -> T:
        """What stands there now."""
        now = self._database.writes
        if now != self._as_of or len(self._held) > MOST:
            self._held, self._as_of = {}, now
        if name not in self._held:
            value = await run_sync(self._read, name)
            if self._as_of != now:  # what was read may be older than the last write
                return value
            self._held[name] = value
        return self._held[name]
