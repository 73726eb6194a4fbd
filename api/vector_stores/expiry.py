"""Stores that nobody has used for long enough lose their documents; files leave them at their own end."""

import contextlib
from datetime import datetime

from anyio.to_thread import run_sync

from api.documents.deleting import Deleter
from api.errors import CollectionNotFound, NotFound
from api.store import Store
from api.vector_stores.attaching import Attaching


async def expire(store: Store, deleter: Deleter, attaching: Attaching, now: datetime) -> None:
    """Delete the documents of stores that have expired, and take out files whose time is over; in all workspaces.

    Files that wait are looked at again, too.
    """
    files, cards = store.collection_files, store.collection_cards
    for collection in await run_sync(cards.expired, now):
        async with attaching.changing:  # no file is being taken in
            with contextlib.suppress(CollectionNotFound):
                _, card = await run_sync(cards.find, collection.id)
                if card.is_expired(now):  # nobody has brought it back meanwhile
                    await run_sync(files.forget_all, collection.id)
                    await deleter.delete_all(collection)
    for collection_id, file_id in await run_sync(files.ended, now):
        try:
            file = await run_sync(files.find, collection_id, file_id)
        except NotFound:  # its document is being deleted
            continue
        await attaching.take_out(file)
    attaching.wake()
