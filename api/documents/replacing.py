"""A newer version of a document, imported beside it, takes its place: no search finds neither, and none both."""

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.index import Index
from api.store import Store
from api.store.documents import Document


async def take_place(store: Store, index: Index, newer: Document) -> tuple[Document, Document]:
    """The document with its new content, and what is left with the old one, to be deleted.

    `errors.DocumentNotFound` when it was given up or deleted meanwhile.
    """
    with anyio.CancelScope(shield=True):  # who is told of the one is told of the other
        async with index.switching.switch(newer.collection_id):
            document, left = await run_sync(store.replacements.take_place, newer.id)
            faults.point("replace_switched")
            await index.catch_up()
    return document, left
