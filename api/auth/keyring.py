"""The keys of the store, held in memory: no request waits for the database, and a change elsewhere is soon seen."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import anyio
import anyio.to_thread

from api.auth.callers import Caller, Scope, hash_of
from api.auth.limits import Allowed
from api.auth.refusals import KeyBlocked, KeyExpired, WrongKey
from api.errors import ApiError
from api.names import model_key
from api.store import Store
from api.store.keys import Key

LOGGER = logging.getLogger("api.auth")
LOOK_SECONDS = 0.3
"""How often the database is asked whether something was written; a key that is revoked beside the running service
opens no longer than this and the time of reading all keys.
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A key as the gate needs it."""

    caller: Caller
    allowed: Allowed
    blocked: bool
    ends: datetime | None
    """When its text stops to open."""


class Keyring:
    """The keys by the hash of their text."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: int | None = None
        self._limiter = anyio.CapacityLimiter(1)  # its own: it waits behind no reading of documents
        self._held: Mapping[str, Held] | None = None

    @property
    def is_known(self) -> bool:
        """Whether the keys could be read since the start."""
        return self._held is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is no key at all, also none that has ended or is blocked."""
        return not self._held

    def find(self, text: str) -> Held:
        """The key of a text; an `refusals.KeyRefused` says why it does not open."""
        held = (self._held or {}).get(hash_of(text))
        if held is None:
            raise WrongKey("The key in `Authorization` is none of this service, or is no more.")
        return self._open(held)

    def find_by_id(self, id: str) -> Held:
        """The key of an id, for work that was begun with it; the same refusals."""
        for held in (
            self._held or {}
        ).values():  # of a key that was rotated the newer text comes first
            if held.caller.key_id == id:
                return self._open(held)
        raise WrongKey("The key that this was begun with was revoked.")

    def _open(self, held: Held) -> Held:
        if held.blocked:
            raise KeyBlocked("The key is blocked; an admin can let it in again.")
        if held.ends is not None and held.ends <= datetime.now(UTC):
            reason = f"The key ended at {held.ends.isoformat()}. Ask an admin for a new one."
            raise KeyExpired(reason)
        return held

    def read(self) -> None:
        """Read all keys; blocks."""
        self._version = self._store.database.version()
        held: dict[str, Held] = {}
        for key in self._store.keys.all():
            held[key.hash] = _held(key, key.expires_at)
            if key.former_hash and key.former_until:
                ends = min(filter(None, (key.former_until, key.expires_at)))
                held[key.former_hash] = _held(key, ends)
        self._held = held

    def look(self) -> None:
        """Read all keys if something was written; blocks."""
        if self._held is None or self._store.database.version() != self._version:
            self.read()

    async def refresh(self) -> None:
        """Know what was just written."""
        await anyio.to_thread.run_sync(self.read, limiter=self._limiter)

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await anyio.to_thread.run_sync(self.look, limiter=self._limiter)
            except ApiError as error:
                LOGGER.warning("the keys could not be read: %s", error.detail)
            except Exception:
                LOGGER.exception("the keys could not be read; it is tried again")
            await asyncio.sleep(LOOK_SECONDS)


def _held(key: Key, ends: str | None) -> Held:
    models = None if key.models is None else frozenset(map(model_key, key.models))
    scopes = frozenset(cast("list[Scope]", key.scopes))
    return Held(
        Caller(key.id, key.alias, key.workspace, scopes, models),
        Allowed(key.requests_per_minute, key.tokens_per_minute, key.parallel_requests),
        key.blocked,
        datetime.fromisoformat(ends) if ends else None,
    )
