"""What was used with each key: added up in memory and written behind the answers, never in the way of one."""

import asyncio
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime

import anyio.to_thread

from api.auth.callers import Caller
from api.errors import ApiError
from api.store.keys import Keys, Use

LOGGER = logging.getLogger("api.auth")
WRITE_SECONDS = 2.0
"""How long uses are gathered; so much is lost when the process is killed."""


class Usage:
    """Uses that are not written yet, by key, model and day."""

    def __init__(self, store: Keys) -> None:
        self._store = store
        self._uses: dict[tuple[str, str, str], Use] = {}
        self._last_used: dict[str, str] = {}
        self._lock = threading.Lock()

    def saw(self, caller: Caller) -> None:
        """A key opened just now."""
        with self._lock:
            self._last_used[caller.key_id] = datetime.now(UTC).isoformat(timespec="seconds")

    def add(self, caller: Caller, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """One request more; of no model where `model` is empty."""
        day = datetime.now(UTC).date().isoformat()
        at = (caller.key_id, model, day)
        use = Use(
            caller.key_id,
            caller.alias,
            caller.workspace,
            model,
            day,
            1,
            prompt_tokens,
            completion_tokens,
        )
        with self._lock:
            self._uses[at] = _sum(self._uses[at], use) if at in self._uses else use

    async def write(self) -> None:
        """Write what was gathered; what cannot be written waits for the next time."""
        try:
            await anyio.to_thread.run_sync(self._record)
        except ApiError as error:
            LOGGER.warning("usage waits to be written: %s", error.detail)

    def _record(self) -> None:
        """In a thread from beginning to end, which goes on when who waits for it is cancelled."""
        with self._lock:
            uses, self._uses = self._uses, {}
            last_used, self._last_used = self._last_used, {}
        if not uses and not last_used:
            return
        try:
            self._store.record(uses.values(), last_used.items())
        except BaseException:
            with self._lock:
                for at, use in uses.items():
                    self._uses[at] = _sum(use, self._uses[at]) if at in self._uses else use
                self._last_used = last_used | self._last_used
            raise

    async def follow(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await self.write()
            except Exception:
                LOGGER.exception("usage waits to be written")


def _sum(one: Use, other: Use) -> Use:
    return replace(
        other,
        requests=one.requests + other.requests,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
    )
