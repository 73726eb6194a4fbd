"""Opens all that the gate asks, over the store."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from api.auth.callers import Caller
from api.auth.keyring import Keyring
from api.auth.keys import KeyCatalog
from api.auth.limits import Limits
from api.auth.usage import Usage
from api.errors import ApiError
from api.runtime.fair import ASKING, SPENT, Asking, Spent
from api.store import Store

LOGGER = logging.getLogger("api.auth")


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may call, how much, and what it took."""

    store: Store
    keyring: Keyring
    catalog: KeyCatalog
    limits: Limits
    usage: Usage

    def let_in(self, caller: Caller, *, in_background: bool = False) -> None:
        """A request begins: it waits for a model among those of its key, behind others where nobody waits for it."""
        ASKING.set(Asking(caller.key_id, in_background))
        SPENT.set(Spent())
        self.usage.saw(caller)

    def spent(self) -> Spent:
        """What the models took that the running request has asked."""
        return SPENT.get() or Spent()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """See what changes in the store, and write what is used; what is left is written at the end."""
        tasks = [asyncio.create_task(one.follow()) for one in (self.keyring, self.usage)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.usage.write()


def open_auth(store: Store, *, keeps_admin: bool = False) -> Auth:
    """Over a store; a key that cannot be read yet opens nothing. `keeps_admin` as in `KeyCatalog`: with no key in the
    settings, requests may not leave the service without an admin.
    """
    keyring = Keyring(store)
    try:
        keyring.read()
    except ApiError as error:
        LOGGER.error("the keys could not be read: %s", error.detail)
    return Auth(
        store, keyring, KeyCatalog(store.keys, keeps_admin=keeps_admin), Limits(), Usage(store.keys)
    )
