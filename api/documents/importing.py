"""A document comes in: row, file, text, chunks, vectors, words, in this order; each step can be repeated."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple
from weakref import WeakValueDictionary

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.data_folder.guarded import Folders
from api.documents.extract import Bounds
from api.documents.files import Files
from api.documents.originals import bring, part, release, set_strays_aside
from api.documents.reading.ocr import installed
from api.documents.receiving import Received
from api.documents.replacing import EmbeddedOtherwise, stand, take_place
from api.documents.split import pack, pieces
from api.documents.turns import Reader
from api.errors import ApiError, Conflict, DeviceInUse, DocumentNotFound, Unavailable
from api.index import Index
from api.index.embeddings import Embedder
from api.settings import Settings
from api.store import Store
from api.store.chunks import Chunk
from api.store.collections import Collection
from api.store.contents import Page
from api.store.documents import Document

log = logging.getLogger(__name__)

MOST_PAUSE_SECONDS = 30
"""Before an import tries again: what it waits for may end sooner than was said."""


class Outcome(NamedTuple):
    """A document, whether it was not there before, and whether it is a newer version that replaces what was."""

    document: Document
    is_new: bool
    is_newer: bool


class Importer:
    """Imports documents, several at a time, each in a task of its own that outlives the request."""

    def __init__(
        self,
        store: Store,
        index: Index,
        files: Files,
        bounds: Bounds,
        *,
        chunk_tokens: int,
        overlap_tokens: int,
    ) -> None:
        self.files = files
        self._store = store
        self._index = index
        self._chunk_tokens = chunk_tokens
        self._overlap_tokens = overlap_tokens
        self._reader = Reader(bounds)
        self._beginning = anyio.Lock()  # rows, files, labels and tasks change together
        self._contents: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()  # one fills it
        self._running: dict[str, _Running] = {}
        self.discard: Callable[[Sequence[Document]], None] = lambda _: None
        """Takes away what is marked as deleting."""

    async def import_document(
        self,
        received: Received,
        collection: Collection,
        *,
        wait: bool = True,
        password: str = "",
        replace: bool = False,
        file_id: str = "",
    ) -> "Outcome":
        """The document, and whether it or its content is new.

        Takes the file over: afterwards it is moved or gone, whatever happens. With `wait` the document is ready, or
        the reason is raised and nothing of it is left. Without, it is importing or ready; a failure is kept in its row.
        The same bytes again are the same document; where another collection has them, nothing is read or embedded
        again. The password is kept nowhere: an import that is interrupted before its pages are read ends without it.
        `errors.NameTaken` when other bytes have the name.

        With `replace` a ready document of that name keeps its id and is found as it was until the new content takes
        the place of the old one; without waiting it is returned as it is. The last one that was asked for counts.
        `file_id` is the file of the collection that the document comes from.
        """
        async with self._beginning:  # a deletion comes before all of this, or after
            embedder = self._index.embedder_of(collection).model
            files = self._store, self.files
            begin = partial(
                bring, *files, received, collection, embedder, replace=replace, file_id=file_id
            )
            await run_sync(self._store.collection_cards.touch, [collection.id])
            document, is_new, _, given_up = await run_sync(begin)
            self._tell_needless(given_up)
            self.discard(given_up)
            if document.status == "importing" and document.id not in self._running:
                self._start(document, wait, password)
        is_newer = is_new and document.replaces != ""
        running = self._running.get(document.id)
        if running is not None:
            running.is_waited_for &= wait
            if wait:
                document = await running.outcome()
        if document.replaces:
            document = await run_sync(self._store.documents.get, document.replaces)
        return Outcome(document, is_new, is_newer)

    async def resume(self) -> None:
        """At start, once: go on with half-done imports in the background.

        Where files and database belong together, files of no document are put aside, and documents whose
        file did not arrive are forgotten: they were never confirmed.

        After `Index.repair`, so that chunks which are kept have their vectors.

        Imports that have begun since go on as they are.
        """
        may_sweep = self.files.guarded.may_sweep
        async with self._beginning:  # whose upload is on its way has its file
            if may_sweep:
                await run_sync(set_strays_aside, self.files)
            for document in await run_sync(self._store.documents.all, "importing"):
                if document.id in self._running:
                    continue
                if await run_sync(self.files.exists, document.content_id):
                    self._start(document, wait=False)
                elif may_sweep:
                    await self._take_back(document)
                    await run_sync(self.files.remove, document.content_id)
                    await run_sync(self._store.documents.remove, document.id)

    async def release(self, document: Document) -> None:
        """Stop working on a document that is marked as deleting, and give up its file; idempotent."""
        async with self._beginning:  # its import is at work or has ended, and none begins any more
            await self._stop(document.id)
            await run_sync(release, self._store, self.files, document)

    def when_ended(self, document_id: str, act: Callable[[], None]) -> None:
        """Do something as soon as nothing works on that document."""
        if running := self._running.get(document_id):
            running.task.add_done_callback(lambda _: act())
        else:
            act()

    async def settled(self) -> None:
        """Wait until no import is at work."""
        while self._running:
            await asyncio.wait([one.task for one in self._running.values()])

    async def close(self) -> None:
        """Stop; what is half done goes on at the next start."""
        for document_id in list(self._running):
            await self._stop(document_id)
        await self._reader.close()

    def _tell_needless(self, given_up: Sequence[Document]) -> None:
        """Whoever waits for one of these hears that a later import made it needless."""
        for one in given_up:
            if running := self._running.get(one.id):
                running.is_needless = True

    async def _stop(self, document_id: str) -> None:
        """Stop working on one document and wait until nothing works on it."""
        if running := self._running.get(document_id):
            running.scope.cancel()
            await asyncio.wait([running.task])

    def _start(self, document: Document, wait: bool, password: str = "") -> None:
        running = _Running(wait, password)
        running.task = asyncio.create_task(self._run(document, running), name=document.id)
        running.task.add_done_callback(asyncio.Task.exception)  # told to who waits, and in the row
        self._running[document.id] = running

    async def _run(self, document: Document, running: "_Running") -> Document:
        try:
            with running.scope:
                return await self._import(document, running)
            raise Unavailable(
                "The import was stopped: the document was deleted, or the service ends and will go on "
                "with it at its next start."
            )
        except (DocumentNotFound, Unavailable) as error:
            if running.is_needless:
                raise Conflict(
                    "The import was given up: a later one under the same name takes its place."
                ) from error
            raise
        finally:
            del self._running[document.id]

    async def _import(self, document: Document, running: "_Running") -> Document:
        while True:
            try:
                return await self._steps(document, running.password)
            except DocumentNotFound:  # deleted meanwhile
                async with self._beginning:  # who gave it up has said so when that is over
                    raise
            except Exception as error:
                passes = isinstance(error, DeviceInUse if running.is_waited_for else Unavailable)
                if not isinstance(error, Unavailable) or not passes:
                    await self._fail(document, error, keep=not running.is_waited_for)
                    raise
                log.warning("Importing %s waits: %s", document.id, error.detail)
                await asyncio.sleep(min(error.retry_after_seconds or 5, MOST_PAUSE_SECONDS))

    async def _steps(self, document: Document, password: str) -> Document:
        """Begins where an interrupted try, or the import of the same content elsewhere, has stopped."""
        collection = await run_sync(self._store.collections.find, document.collection_id)
        document = await self._with_own_content(document, self._index.embedder_of(collection))
        try:
            async with self.content(document.content_id):
                if not await run_sync(self._store.contents.is_complete, document.content_id):
                    pages = await self._pages(document, password)
                    await self._fill(document, pages, await self._index.pinned(collection))
                await self._index.place(document, await self._index.pinned(collection))
                if not document.replaces:
                    return await stand(self._store, self._index, document, collection)
                replaced, left = await take_place(self._store, self._index, document, collection)
        except EmbeddedOtherwise:
            return await self._steps(document, password)
        self.discard([left])
        return replaced

    async def _with_own_content(self, document: Document, embedder: Embedder) -> Document:
        """The document, apart from others with which it has shared a content that another model reads."""
        content_id = document.content_id
        having = await run_sync(self._store.documents.of_content, content_id)
        cut_for = await run_sync(self._store.contents.embedder, content_id)
        if len(having) == 1 or cut_for == embedder.model:
            return document
        await self._take_back(document)
        async with self._beginning:
            return await run_sync(part, self._store, self.files, document, embedder.model)

    def figures(self) -> tuple[int, int]:
        """How many imports run, and how many wait for their turn to be read."""
        waiting = self._reader.waiting
        return max(0, len(self._running) - waiting), waiting

    def content(self, content_id: str) -> anyio.Lock:
        """Whoever fills a content holds this."""
        return self._contents.setdefault(content_id, anyio.Lock())

    async def embed(self, document: Document, embedder: Embedder) -> None:
        """Read, cut and embed the content, unless that is done."""
        await self._fill(document, await self._pages(document, password=""), embedder)

    async def _fill(self, document: Document, pages: Sequence[Page], embedder: Embedder) -> None:
        chunks = await self._chunks(pages, embedder)
        kept = await self._kept(document, chunks, embedder)
        document = await run_sync(self._store.documents.get, document.id)  # it has a title now
        await self._index.put(document, chunks[kept:], embedder)

    async def _pages(self, document: Document, password: str) -> Sequence[Page]:
        contents, content_id = self._store.contents, document.content_id
        if (await run_sync(self._store.documents.get, document.id)).pages_total:
            return await run_sync(contents.pages, content_id)
        file = self.files.path(content_id)
        found = await self._reader.read(file, document.kind, password, document.size_bytes)
        await run_sync(contents.set_pages, content_id, found)
        faults.point("import_pages_stored")
        return found.pages

    async def _chunks(self, pages: Sequence[Page], embedder: Embedder) -> list[Chunk]:
        limit = min(self._chunk_tokens, await embedder.longest_chunk())
        cut = await run_sync(pieces, pages, limit)
        lengths = await embedder.lengths([piece.text for piece in cut])
        return await run_sync(pack, pages, cut, lengths, limit, self._overlap_tokens)

    async def _kept(self, document: Document, chunks: Sequence[Chunk], embedder: Embedder) -> int:
        """How many chunks an earlier try has embedded; none when they are cut or embedded otherwise."""
        content_id = document.content_id
        stored = await run_sync(self._store.chunks.of, content_id)
        cut_for = await run_sync(self._store.contents.embedder, content_id)
        if stored == chunks[: len(stored)] and cut_for == embedder.model:
            return len(stored)
        await self._take_back(document)
        await run_sync(self._store.chunks.drop, content_id, embedder.model)
        return 0

    async def _take_back(self, document: Document) -> None:
        """Take out what was put into the index."""
        if (await run_sync(self._store.documents.get, document.id)).embedder:
            await self._index.remove(document)

    async def _fail(self, document: Document, error: Exception, *, keep: bool) -> None:
        if not isinstance(error, ApiError):
            log.error("Importing %s failed", document.id, exc_info=error)
            error = ApiError("The import failed inside the service; its log says more.")
        await self._take_back(document)
        async with self._beginning:  # nobody comes to share the content until its row tells
            await run_sync(release, self._store, self.files, document)
            if keep:
                await run_sync(self._store.documents.mark_failed, document.id, error.as_problem())
            else:
                await run_sync(self._store.documents.remove, document.id)


class _Running:
    """One import at work. It is waited for as long as every caller that asked for it waits."""

    def __init__(self, is_waited_for: bool, password: str) -> None:
        self.is_waited_for = is_waited_for
        self.is_needless = False
        self.password = password
        self.scope = anyio.CancelScope()
        self.task: asyncio.Task[Document]

    async def outcome(self) -> Document:
        """The document once it is ready; the import goes on when the caller goes away."""
        await asyncio.wait([self.task])
        return self.task.result()


def open_importer(settings: Settings, store: Store, index: Index, folders: Folders) -> Importer:
    """An importer as the settings say."""
    bounds = Bounds(
        settings.max_pages,
        settings.max_document_characters,
        settings.extract_seconds,
        settings.extract_memory_bytes,
        None if settings.ocr == "off" else installed(settings.ocr_languages, settings.ocr_seconds),
        settings.heads_in_rows,
    )
    return Importer(
        store,
        index,
        Files(folders.documents),
        bounds,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
    )
