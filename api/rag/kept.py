"""Responses that are kept for a while, so that a conversation can go on by the id of its last one."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from anyio.to_thread import run_sync

from api.errors import ApiError, InvalidOption, NotFound
from api.settings import Settings
from api.store import Store
from api.store.responses import Item, Kept, KeptResponse

LOGGER = logging.getLogger(__name__)
MOST_CHARACTERS = 32 * 2**20
"""Of a conversation, as JSON: images are most of it."""
SECONDS_A_DAY = 86_400


class Responses:
    """The responses of a workspace. What was not used for the days of the setting is as if it were not there."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._rows = store.responses
        self._most = settings.kept_responses
        self._most_bytes = settings.kept_responses_bytes
        self._seconds = settings.kept_responses_days * SECONDS_A_DAY

    async def keep(
        self,
        id: str,
        previous: str,
        response: Mapping[str, Any],
        input: Sequence[Item],
        output: Sequence[Item],
    ) -> bool:
        """Keep what was answered. Whether that could be done: a full disk does not take the answer along."""
        one = KeptResponse(id, previous, response, input, output)
        kept = Kept(self._most, self._since, self._most_bytes)
        try:
            await run_sync(self._rows.put, one, time.time(), kept)
        except ApiError as error:
            LOGGER.warning("A response was not kept: %s", error.detail)
            return False
        return True

    async def get(self, id: str) -> KeptResponse:
        """One of them; `errors.NotFound`."""
        found = await run_sync(self._rows.get, id, self._since)
        if found is None:
            raise NotFound(f"Response with id {id!r} not found.")
        return found

    async def delete(self, id: str) -> None:
        """Forget one; `errors.NotFound`. What goes on with it can be read, and not gone on with."""
        await self.get(id)
        await run_sync(self._rows.remove, id)

    async def before(self, previous: str) -> Sequence[Item]:
        """All that was said up to a response; `errors.InvalidOption` where some of it is not kept."""
        chain = await run_sync(self._rows.chain, previous, self._since, MOST_CHARACTERS)
        if chain.is_too_long:
            raise _gone("The conversation before this response is too long. Begin a new one.")
        if chain.missing:
            raise _gone(f"Previous response with id {chain.missing!r} not found.")
        return chain.items

    async def items(self, ids: Sequence[str]) -> Mapping[str, Item]:
        """Those of the items that are kept, by their ids; `errors.InvalidOption` where they are longer than a
        conversation may be: each counts as often as it is named.
        """
        if not ids:
            return {}
        found = await run_sync(self._rows.items, ids, self._since, MOST_CHARACTERS)
        if found is None:
            why = "The items that are referred to are too long together. Refer to fewer."
            raise InvalidOption(why, where="input")
        return found

    async def expire(self, now: datetime) -> None:
        """Forget what was not used for so long, in every workspace."""
        await run_sync(self._rows.forget_old, now.timestamp() - self._seconds)

    @property
    def _since(self) -> float:
        return time.time() - self._seconds


def _gone(why: str) -> InvalidOption:
    return InvalidOption(why, where="previous_response_id", code="previous_response_not_found")
