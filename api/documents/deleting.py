"""A document goes: at once for everyone who asks, then its file, vectors, words and rows, in this order.

The file goes first, so that on a full disk there is room for what the other steps write.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.documents.importing import Importer
from api.errors import ApiError
from api.index import Index
from api.store import Store
from api.store.collections import Collection, Scope
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
        self._left: deque[Document] = deque()
        self._task: asyncio.Task[None] | None = None
        importer.discard = self.finish
        self.let_wait: Callable[[], None] = lambda: None
        """Told when files may wait again."""

    async def delete_document(self, scope: Scope, name_or_id: str) -> Document:
        """Delete one by name (with or without `.pdf`) or id, also one that failed or is being imported.

        Of the scope's first collection that has it; `errors.DocumentNotFound`.
        """
        document = await run_sync(self._store.documents.find_any, scope, name_or_id)
        await self.delete([document])
        return document

    async def delete_all(self, collection: Collection) -> list[Document]:
        """Delete all documents of a collection; returns them."""
        documents = await run_sync(self._store.documents.of, collection)
        await self.delete(documents)
        return documents

    async def delete_collection(self, collection: Collection) -> list[Document]:
        """Delete a collection with all its documents; returns those that stood in it."""
        documents = await run_sync(self._store.documents.mark_collection_deleting, collection)
        faults.point("delete_marked")
        self.finish(documents)
        return [one for one in documents if not one.replaces]

    async def delete(self, documents: Sequence[Document]) -> None:
        """From now on they are neither listed nor searched, whatever happens; the rest goes on behind."""
        ids = [one.id for one in documents]
        waiting = await run_sync(self._store.documents.mark_deleting, ids)
        faults.point("delete_marked")
        self.finish([*documents, *waiting])

    async def resume(self) -> None:
        """At start, once and after the index has caught up: finish half-done deletes in the background."""
        await run_sync(self._store.changes.forget_old)
        self.finish(await run_sync(self._store.documents.all, "deleting"))

    async def settled(self) -> None:
        """Wait until nothing is left to take away."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        self._scope.cancel()
        await self.settled()

    def finish(self, documents: Sequence[Document]) -> None:
        """They are marked: the rest goes on behind. Files that were becoming one of them may wait again."""
        if documents:
            self.let_wait()
        self._left.extend(documents)
        if self._left and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._take_all_away(), name="deleting")

    async def _take_all_away(self) -> None:
        with self._scope:
            while self._left:
                for _ in range(len(self._left)):  # none waits for another one that fails
                    document = self._left.popleft()
                    if not await self._is_taken_away(document):
                        self._left.append(document)
                if self._left:
                    await asyncio.sleep(RETRY_SECONDS)

    async def _is_taken_away(self, document: Document) -> bool:
        try:
            await self._take_away(document)
        except (ApiError, OSError) as error:
            log.warning("Deleting %s waits: %s", document.id, error)
            return False
        except Exception:
            log.exception("Deleting %s fails, and is tried again.", document.id)
            return False
        return True

    async def _take_away(self, document: Document) -> None:
        await self._importer.release(document)
        faults.point("delete_file_removed")
        await self._index.remove(document)
        faults.point("delete_vectors_removed")
        await run_sync(self._store.documents.remove, document.id)
