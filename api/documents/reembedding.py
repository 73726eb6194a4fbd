"""A collection is embedded anew behind the index that answers, document by document, and then switched at once.

Beside each document comes one with a content of its own: the same file, its pages as they are or read again, cut and
embedded for the new model. What answered before then stands by, until it is dropped or switched back to.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.documents.importing import MOST_PAUSE_SECONDS, Importer
from api.documents.originals import stand_beside
from api.errors import (
    ApiError,
    CollectionNotFound,
    DocumentNotFound,
    DocumentUnusable,
    Unavailable,
    WrongState,
)
from api.index import Index
from api.index.embeddings import Embedder
from api.store import Store
from api.store.collections import Collection
from api.store.documents import Document
from api.store.reembeddings import Reembedding

log = logging.getLogger(__name__)


class Reembedder:
    """Embeds collections anew, each in a task of its own that outlives the request and goes on after a restart."""

    def __init__(self, store: Store, index: Index, importer: Importer) -> None:
        self._store = store
        self._index = index
        self._importer = importer
        self._running: dict[str, _Running] = {}
        self._changing = anyio.Lock()

    async def start(
        self, collection: Collection, embedder: str, *, reread: bool = False
    ) -> Reembedding:
        """Embed a collection anew; what stood by from an earlier time is dropped.

        The same again is the one that runs, and one that failed goes on. `errors.WrongState` while another one runs.
        """
        async with self._changing:
            found = await self.find(collection)
            same = found and (found.embedder, found.reread) == (embedder, reread)
            if found and found.status == "running":
                if not same:
                    raise WrongState(
                        f"The collection is being embedded anew by {found.embedder!r}. Wait for that, or give it up: "
                        f"DELETE /collections/{collection.name}/embed."
                    )
                return found
            goes_on = bool(found and same and found.status == "failed")
            templates = found.templates if found and goes_on else None
            return await self._begin(collection, embedder, templates, reread=reread, keep=goes_on)

    async def roll_back(self, collection: Collection) -> Reembedding:
        """Switch back to what answered before, after what has come since is embedded for it too; goes on with a switch
        back that failed. `errors.WrongState` when nothing stands by.
        """
        async with self._changing:
            found = await self.find(collection)
            if found and found.status == "ready":
                target, templates = found.previous, found.previous_templates
            elif (
                found and found.status == "failed" and found.templates
            ):  # only a switch back has some
                target, templates = found.embedder, found.templates
            else:
                raise WrongState("No earlier index of this collection stands by.")
            return await self._begin(collection, target, templates, reread=False, keep=True)

    async def end(self, collection: Collection) -> Reembedding:
        """Give up one that runs, or drop what stands by since; `errors.WrongState` when there is neither."""
        async with self._changing:
            found = await self.find(collection)
            if found is None:
                raise WrongState(
                    "This collection is not being embedded anew, and no earlier index stands by."
                )
            await self._stop(collection.id)
            self._importer.discard(await run_sync(self._store.reembeddings.end, collection.id))
            return found

    async def find(self, collection: Collection) -> Reembedding | None:
        """How far it is; None when it was never begun, or was ended."""
        return (await run_sync(self._store.reembeddings.find, [collection.id])).get(collection.id)

    async def resume(self) -> None:
        """At start, once: go on with what had not switched yet."""
        for collection_id in await run_sync(self._store.reembeddings.running):
            self._start(collection_id)

    async def settled(self) -> None:
        """Wait until none is at work."""
        while self._running:
            await asyncio.wait([one.task for one in self._running.values()])

    async def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        for collection_id in list(self._running):
            await self._stop(collection_id)

    async def _begin(
        self,
        collection: Collection,
        embedder: str,
        templates: Sequence[str] | None = None,
        *,
        reread: bool,
        keep: bool,
    ) -> Reembedding:
        await self._stop(collection.id)  # one that has switched may still be at work on the words
        previous = self._index.embedder_of(collection).model
        begin = partial(self._store.reembeddings.begin, reread=reread, keep=keep)
        begun, given_up = await run_sync(begin, collection, embedder, previous, templates)
        self._importer.discard(given_up)
        self._start(collection.id)
        return begun

    def _start(self, collection_id: str) -> None:
        if collection_id not in self._running:
            running = self._running[collection_id] = _Running()
            running.task = asyncio.create_task(
                self._run(collection_id, running.scope), name=f"embedding {collection_id}"
            )

    async def _stop(self, collection_id: str) -> None:
        if running := self._running.get(collection_id):
            running.scope.cancel()
            await asyncio.wait([running.task])

    async def _run(self, collection_id: str, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                while not await self._is_over(collection_id):
                    pass
        finally:
            del self._running[collection_id]

    async def _is_over(self, collection_id: str) -> bool:
        """One try, and what came of it; False when it is to be tried again."""
        try:
            await self._embed_all(collection_id)
        except CollectionNotFound:
            return True
        except Unavailable as error:
            log.warning("Embedding %s anew waits: %s", collection_id, error.detail)
            await self._tell(collection_id, "running", error)
            await asyncio.sleep(min(error.retry_after_seconds or 5, MOST_PAUSE_SECONDS))
            return False
        except ApiError as error:
            await self._tell(collection_id, "failed", error)
        except Exception:
            log.exception("Embedding %s anew failed", collection_id)
            unknown = ApiError("It failed inside the service; its log says more.")
            await self._tell(collection_id, "failed", unknown)
        return True

    async def _tell(self, collection_id: str, status: str, error: ApiError | None) -> None:
        problem = error.as_problem() if error else None
        await run_sync(self._store.reembeddings.tell, collection_id, status, problem)

    async def _embed_all(self, collection_id: str) -> None:
        """Document by document, those that come meanwhile too, until all can be switched."""
        collection = await run_sync(self._store.collections.find, collection_id)
        found = await self.find(collection)
        if found is None or found.status != "running":
            return
        query, passage = found.templates or (None, None)
        target = replace(
            collection,
            embedder=found.embedder,
            query_template=query,
            passage_template=passage,
        )
        embedder = self._index.embedder_of(target)
        while True:
            while document := await run_sync(self._store.reembeddings.next, found):
                await self._embed_beside(document, embedder, reread=found.reread)
                if found.error:  # it waits no more
                    await self._tell(collection_id, "running", None)
                    found = replace(found, error=None)
            if await self._switched(found, embedder):
                return

    async def _embed_beside(self, document: Document, embedder: Embedder, *, reread: bool) -> None:
        made = document
        try:
            made = beside = await self._beside(document, embedder, reread=reread)
            async with self._importer.content(beside.content_id):
                await self._read_and_embed(beside, embedder, reread=reread)
                version = await self._index.complete(beside, embedder)
                beside = await run_sync(self._store.reembeddings.stand_by, beside.id, version)
            faults.point("reembed_standing_by")
            if version != document.embedder:  # else it would be found in the place of what answers
                await self._index.dense.place(beside, version)
        except Exception:
            if await self._is_there(made):
                raise

    async def _read_and_embed(self, beside: Document, embedder: Embedder, *, reread: bool) -> None:
        try:
            await self._importer.embed(beside, embedder)
        except DocumentUnusable:  # by now: behind a password, or its file is missing
            if not reread:
                raise
            await run_sync(self._store.reembeddings.read_as_before, beside)
            await self._importer.embed(beside, embedder)

    async def _is_there(self, document: Document) -> bool:
        """Whether it was not deleted meanwhile."""
        try:
            await run_sync(self._store.documents.get, document.id)
        except DocumentNotFound:
            return False
        return True

    async def _beside(self, document: Document, embedder: Embedder, *, reread: bool) -> Document:
        """What is embedded beside a document: as far as an earlier try has come with the same bytes."""
        usable = None
        for one in await run_sync(self._store.reembeddings.beside, document):
            cut_for = await run_sync(self._store.contents.embedder, one.content_id)
            if usable is None and (one.sha256, cut_for) == (document.sha256, embedder.model):
                usable = one
            else:
                await run_sync(self._store.documents.mark_deleting, [one.id])
                self._importer.discard([one])
        if usable is None:
            store, files = self._store, self._importer.files
            make = partial(stand_beside, store, files, document, embedder.model, reread=reread)
            usable = await run_sync(make)
            faults.point("reembed_added")
        return usable

    async def _switched(self, found: Reembedding, embedder: Embedder) -> bool:
        templates = await embedder.templates()
        with anyio.CancelScope(shield=True):
            async with self._index.switching.switch(found.collection_id):
                switched = await run_sync(self._store.reembeddings.switch, found, *templates)
                if switched:
                    faults.point("reembed_switched")
                    if await run_sync(self._store.reembeddings.keeps_its_version, found):
                        self._index.dense.renew()
                    await self._index.catch_up()
        return switched


class _Running:
    """One collection that is being embedded anew."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.task: asyncio.Task[None]
