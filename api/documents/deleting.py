"""A document goes: at once for everyone who asks, then its vectors, words, file and rows, in this order."""

import asyncio
import logging
from collections.abc import Sequence

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.documents.importing import Importer
from api.errors import ApiError, DocumentNotFound
from api.index import Index
from api.names import document_key, model_key
from api.store import Store
from api.store.documents import Document

log = logging.getLogger(__name__)

RETRY_SECONDS = 5


class Deleter:
    """Deletes documents; what is slow happens behind the answer."""

    def __init__(self, store: Store, index: Index, importer: Importer) -> None:
        self._store = store
        self._index = index
        self._importer = importer
        self._scope = anyio.CancelScope()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = anyio.Lock()

    async def delete_document(self, model: str, name_or_id: str) -> Document:
        """Delete one by name (with or without `.pdf`) or id, also one that failed or is being imported.

        The model's own, else the one for all models; `errors.DocumentNotFound`.
        """
        known = await run_sync(self._store.documents.any_of, model)
        wanted = {name_or_id, document_key(name_or_id)}
        found = [one for one in known if wanted & {one.id, document_key(one.name)}]
        if not found:
            names = [one.name for one in known]
            raise DocumentNotFound(
                f"No document {name_or_id!r} for model {model!r}. "
                f"Documents: {', '.join(names) or 'none'}.",
                documents=names,
            )
        document = max(found, key=lambda one: (one.model != "", one.status != "failed"))
        await self.delete([document])
        return document

    async def delete_all(self, model: str) -> list[Document]:
        """Delete all of the model's own documents; returns them."""
        known = await run_sync(self._store.documents.any_of, model)
        mine = [one for one in known if one.model == model_key(model)]
        await self.delete(mine)
        return mine

    async def delete(self, documents: Sequence[Document]) -> None:
        """From now on they are neither listed nor searched, whatever happens; the rest goes on behind."""
        await run_sync(self._store.documents.mark_deleting, [one.id for one in documents])
        faults.point("delete_marked")
        self._start(documents)

    async def resume(self) -> None:
        """At start, once: finish half-done deletes in the background."""
        self._start(await run_sync(self._store.documents.all, "deleting"))

    async def settled(self) -> None:
        """Wait until nothing is left to take away."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        self._scope.cancel()
        await self.settled()

    def _start(self, documents: Sequence[Document]) -> None:
        for document in documents:
            task = asyncio.create_task(self._run(document), name=f"delete {document.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
