"""A newer version of a document, imported beside it, takes its place: no search finds neither, and none both."""

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.index import Index
from api.store import Store
from api.store.collections import Collection
from api.store.documents import Document


class EmbeddedOtherwise(Exception):
    """The collection was switched to another embedding model since the document was embedded for it."""


async def stand(store: Store, index: Index, document: Document, collection: Collection) -> Document:
    """Let an imported document be found from now on."""
    async with index.switching.none():
        await run_sync(_require_same, store, collection)
        ready = await run_sync(store.documents.mark_ready, document.id)
    faults.point("import_marked_ready")
    await index.catch_up()
    return ready


async def take_place(
    store: Store, index: Index, newer: Document, collection: Collection
) -> tuple[Document, Document]:
    """The document with its new content, and what is left with the old one, to be deleted.

    `errors.DocumentNotFound` when it was given up or deleted meanwhile.
    """
    with anyio.CancelScope(shield=True):  # who is told of the one is told of the other
        async with index.switching.switch(newer.collection_id):
            await run_sync(_require_same, store, collection)
            document, left = await run_sync(store.replacements.take_place, newer.id)
            faults.point("replace_switched")
            await index.catch_up()
    return document, left


def _require_same(store: Store, collection: Collection) -> None:
    now, known = store.collections.find(collection.id), collection.passage_template
    if now.embedder != collection.embedder or known not in (None, now.passage_template):
        raise EmbeddedOtherwise
