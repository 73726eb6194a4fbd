"""Stores that nobody has used for long enough lose their documents; files leave them at their own end."""

from datetime import datetime

from anyio.to_thread import run_sync

from api.documents.deleting import Deleter
from api.errors import NotFound
from api.store import Store
from api.vector_stores.attaching import Attaching


async def expire(store: Store, deleter: Deleter, attaching: Attaching, now: datetime) -> None:
    """Delete the documents of stores that have expired, and take out files whose time is over; in all workspaces."""
    files = store.collection_files
    for collection in await run_sync(store.collection_cards.expired, now):
        await run_sync(files.forget_all, collection.id)
        await deleter.delete_all(collection)
    for collection_id, file_id in await run_sync(files.ended, now):
        try:
            file = await run_sync(files.find, collection_id, file_id)
        except NotFound:  # its document is being deleted
            continue
        await attaching.take_out(file)
