"""The pool of children: started when asked for, shared, stopped when idle or least recently used.

A child's death is a fact that its requests learn of at once and the next request mends, after a growing pause;
a child that keeps dying is refused for a while.
"""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from api.errors import Unavailable
from api.runtime.llama_cpp.child import Child, Launch, Limits, devices, spawn
from api.runtime.training import Reserved
from finetune.job.device import Device

logger = logging.getLogger(__name__)
DEATHS_SECONDS = 60.0
DRAIN_SECONDS = 30.0


class Children:
    """Belongs to one event loop."""

    def __init__(self, limits: Limits, *, most: int, idle_seconds: float) -> None:
        self._limits = limits
        self._most = most
        self._idle_seconds = idle_seconds
        self._usable: dict[Launch, Child] = {}
        self._alive: set[Child] = set()
        self._starting: dict[Launch, asyncio.Task[Child]] = {}
        self._awaited: Counter[Launch] = Counter()
        self._deaths: dict[Launch, deque[float]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False
        self._devices: list[str] | None = None
        self.reserved = Reserved()

    @asynccontextmanager
    async def use(self, launch: Launch) -> AsyncIterator[Child]:
        """A loaded child, which is not stopped for being idle or old meanwhile."""
        child = await self._loaded(launch)
        if child.open >= self._limits.requests:
            raise Unavailable(f"{child.open} requests wait for this model already.")
        self._before_use(child)
        try:
            yield child
        finally:
            self._after_use(child)

    async def devices(self) -> list[str]:
        """The kinds of device that children can compute on, asked once; `Unavailable` without llama.cpp."""
        if self._devices is None:
            self._devices = await devices(self._limits.program)
        return self._devices

    async def device(self) -> Device:
        """Where models are loaded: on the GPU when llama.cpp can use one and is not told to use none."""
        if self._limits.gpu_layers == 0:
            return "cpu"
        return "gpu" if any("GPU" in kind for kind in await self.devices()) else "cpu"

    async def device_of(self, launch: Launch) -> Device:
        """Where one model is loaded."""
        return "cpu" if launch.is_encoder else await self.device()

    def threads(self) -> int:
        """How many an encoder may use now: all while no model writes."""
        writes = any(child.open for child in self.loaded() if child.launch.writes)
        return self._limits.threads if writes else self._limits.most_threads

    def loaded(self) -> list[Child]:
        """The children that take requests now."""
        return list(self._usable.values())

    async def stop_all(self, device: Device | None = None) -> None:
        """Stop every child, or those on a device, once its open requests have ended, or after half a minute."""
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        leaving = [
            child for child in self._alive if device in (None, await self.device_of(child.launch))
        ]
        for child in leaving:
            self._retire(child)
        if leaving:
            await asyncio.wait([child.ended for child in leaving], timeout=DRAIN_SECONDS)
        await asyncio.gather(*(child.stop() for child in leaving))

    def retire_those_of(self, path: Path) -> None:
        """Stop the children of a file that is gone, once their open requests have ended, and those that start for
        nobody: a file that comes again has one of its own.
        """
        for child in self.loaded():
            if path in (child.launch.path, child.launch.projector):
                self._retire(child)
        for launch, start in self._starting.items():
            if path in (launch.path, launch.projector) and not self._awaited[launch]:
                start.cancel()

    async def close(self) -> None:
        """End all children at once."""
        self._closed = True
        for task in self._starting.values():
            task.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self._alive), *self._stopping)

    async def _loaded(self, launch: Launch) -> Child:
        while not self._closed:
            child = self._usable.get(launch)
            if child is None:
                if self.reserved:
                    self.reserved.require_free(await self.device_of(launch))
                start = self._starting.get(launch) or self._begin(launch)
                self._awaited[launch] += 1
                try:
                    child = await asyncio.shield(start)
                except asyncio.CancelledError:
                    if _is_cancelled() or not start.cancelled():
                        raise
                    continue
                finally:
                    self._awaited[launch] -= 1
            if not child.is_running():
                await asyncio.wait([child.ended])
            if not child.retired:
                return child
        raise Unavailable("The service is stopping.")

    def _begin(self, launch: Launch) -> asyncio.Task[Child]:
        """Start a child in a task of its own: it goes on when the request that asked for it is cancelled."""
        task = asyncio.create_task(self._start(launch, self._pause(launch)))
        self._starting[launch] = task

        def forget(task: asyncio.Task[Child]) -> None:
            del self._starting[launch]
            if not task.cancelled():
                task.exception()  # nobody may be waiting for it any more

        task.add_done_callback(forget)
        return task

    async def _start(self, launch: Launch, pause_seconds: float) -> Child:
        await self._make_room()
        await asyncio.sleep(pause_seconds)
        child = await spawn(launch, self._limits)
        self._alive.add(child)
        child.ended.add_done_callback(lambda _: self._gone(child))
        await child.load(self._limits)
        self._usable[launch] = child
        self._expire_later(child)
        return child

    def _pause(self, launch: Launch) -> float:
        """Seconds to wait before a start, from the deaths of the last minute; `Unavailable` after too many."""
        deaths = self._deaths.get(launch, deque())
        now = time.monotonic()
        while deaths and now - deaths[0] > DEATHS_SECONDS:
            deaths.popleft()
        if not deaths:
            self._deaths.pop(launch, None)
            return 0.0
        if len(deaths) >= self._limits.deaths:
            raise Unavailable(
                f"The model's process ended {len(deaths)} times within a minute; the log says why.",
                retry_after_seconds=math.ceil(DEATHS_SECONDS - (now - deaths[0])),
            )
        return float(0.25 * 2 ** (len(deaths) - 1))

    async def _make_room(self) -> None:
        """Stop the least recently used idle child when one more would be too many; busy ones stay."""
        idle = [child for child in self.loaded() if child.open == 0]
        if idle and len(self._usable) + len(self._starting) > self._most:
            oldest = min(idle, key=lambda child: child.used_at)
            self._retire(oldest)
            await asyncio.wait([oldest.ended])

    def _before_use(self, child: Child) -> None:
        child.open += 1
        if child.open == 1:
            if child.expiry:
                child.expiry.cancel()
            child.client.heard_at = time.monotonic()
            child.watch(self._limits.stall_seconds)

    def _after_use(self, child: Child) -> None:
        child.open -= 1
        child.used_at = time.monotonic()
        if child.open == 0:
            child.unwatch()
            if child.retired or len(self._usable) > self._most:
                self._retire(child)
            else:
                self._expire_later(child)

    def _expire_later(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        child.expiry = loop.call_later(self._idle_seconds, self._retire, child)

    def _retire(self, child: Child) -> None:
        """Give it no more requests; stop it now if it has none, else after its last one."""
        child.retired = True
        if self._usable.get(child.launch) is child:
            del self._usable[child.launch]
        if child.open == 0:
            self._in_background(child.stop())

    def _gone(self, child: Child) -> None:
        child.retired = True
        self._alive.discard(child)
        if self._usable.get(child.launch) is child:
            del self._usable[child.launch]
        child.unwatch()
        if child.expiry:
            child.expiry.cancel()
        if child.ends_by_itself:
            self._deaths.setdefault(child.launch, deque()).append(time.monotonic())
            logger.error(
                "a model's process ended by itself (%s): %s",
                child.process.returncode,
                child.log[-1000:].strip(),
            )

    def _in_background(self, stopping: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(stopping)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


def _is_cancelled() -> bool:
    """Whether it is the running task itself that was cancelled, and not what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
