"""Which models are loaded, for how long, and who waits: Ollama's scheduler in small.

A model serves one request at a time, the others wait without a bound. Only requests that need a load are counted
against the queue's size, and loads happen one after another.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.ollama_double.manifests import Model
from tests.ollama_double.runner import Launch, Runner
from tests.ollama_double.wire import Failure, JSONObject, timestamp

_BUSY = "server busy, please try again.  maximum pending requests exceeded"
_FOREVER = timedelta(days=106_751)
Key = tuple[str, bool]


@dataclass
class Loaded:
    """A loaded model and who uses it."""

    model: Model
    runner: Runner
    keep_seconds: float
    users: int = 0
    expires_at: datetime = datetime.max
    expiry: asyncio.TimerHandle | None = None

    def expires(self) -> datetime:
        """When it goes, if nobody asks it anything."""
        return self.expires_at if self.users == 0 else _in(self.keep_seconds)


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + (_FOREVER if math.isinf(seconds) else timedelta(seconds=seconds))


class Engine:
    """Belongs to one event loop."""

    def __init__(
        self,
        *,
        max_queue: int,
        keep_seconds: float,
        has_gpu: bool = False,
        most: int = 3,
    ) -> None:
        self._max_queue = max_queue
        self._keep_seconds = keep_seconds
        self._has_gpu = has_gpu
        self._most = most
        self._loaded: dict[Key, Loaded] = {}
        self._waiting = 0
        self._loading = asyncio.Lock()
        self._free = asyncio.Event()
        self._stopping: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(
        self, model: Model, launch: Launch, keep_seconds: float | None
    ) -> AsyncIterator[Runner]:
        """A loaded model that stays loaded meanwhile; 503 when too many wait for a load."""
        key = (str(launch.path), launch.jinja)
        loaded = self._usable(key, launch) or await self._load(key, model, launch, keep_seconds)
        loaded.users += 1
        if loaded.expiry:
            loaded.expiry.cancel()
        if keep_seconds is not None:
            loaded.keep_seconds = keep_seconds
        try:
            yield loaded.runner
        finally:
            loaded.users -= 1
            self._after_use(key, loaded)
            self._free.set()

    def unload(self, model: Model) -> None:
        """Unload a model once nobody uses it."""
        for key, loaded in list(self._loaded.items()):
            if key[0] == str(model.path):
                loaded.keep_seconds = 0
                if loaded.expiry:
                    loaded.expiry.cancel()
                if loaded.users == 0:
                    self._remove(key, loaded)

    def listed(self) -> list[JSONObject]:
        """`/api/ps`."""
        shown = sorted(self._loaded.values(), key=Loaded.expires, reverse=True)
        return [
            {
                "name": loaded.model.name.short,
                "model": loaded.model.name.short,
                "size": loaded.model.size,
                "digest": loaded.model.digest,
                "details": loaded.model.details,
                "expires_at": timestamp(loaded.expires()),
                "size_vram": loaded.model.size if self._has_gpu else 0,
                "context_length": loaded.runner.launch.context,
            }
            for loaded in shown
        ]

    async def close(self) -> None:
        """End all processes at once."""
        for key, loaded in list(self._loaded.items()):
            self._remove(key, loaded)
        await asyncio.gather(*self._stopping)

    def _usable(self, key: Key, launch: Launch) -> Loaded | None:
        loaded = self._loaded.get(key)
        if loaded and loaded.runner.launch == launch and loaded.runner.is_running():
            return loaded
        return None

    async def _load(
        self, key: Key, model: Model, launch: Launch, keep_seconds: float | None
    ) -> Loaded:
        if self._waiting > self._max_queue:
            raise Failure(503, _BUSY)
        self._waiting += 1
        try:
            async with self._loading:
                if loaded := self._usable(key, launch):
                    return loaded
                await self._make_room(key)
                runner = await Runner.start(launch)
                keep = self._keep_seconds if keep_seconds is None else keep_seconds
                self._loaded[key] = Loaded(model, runner, keep)
                return self._loaded[key]
        finally:
            self._waiting -= 1

    async def _make_room(self, key: Key) -> None:
        """Unload the model itself, if it must be started anew, or another one when there are too many."""
        while key in self._loaded or len(self._loaded) >= self._most:
            idle = [(k, loaded) for k, loaded in self._loaded.items() if loaded.users == 0]
            leaving = [each for each in idle if each[0] == key]
            if key not in self._loaded:
                leaving = sorted(idle, key=lambda each: each[1].expires_at)[:1]
            if leaving:
                self._remove(*leaving[0])
            else:
                self._free.clear()
                await self._free.wait()

    def _after_use(self, key: Key, loaded: Loaded) -> None:
        if loaded.users or self._loaded.get(key) is not loaded:
            return
        if loaded.keep_seconds <= 0:
            self._remove(key, loaded)
            return
        loaded.expires_at = _in(loaded.keep_seconds)
        if not math.isinf(loaded.keep_seconds):
            loop = asyncio.get_running_loop()
            loaded.expiry = loop.call_later(loaded.keep_seconds, self._remove, key, loaded)

    def _remove(self, key: Key, loaded: Loaded) -> None:
        if self._loaded.get(key) is loaded:
            del self._loaded[key]
            if loaded.expiry:
                loaded.expiry.cancel()
            task = asyncio.get_running_loop().create_task(loaded.runner.stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
