"""Files become documents of collections, those of the collections in turns, a few at a time.

What waits stands in the database, so that a process which ends loses nothing: the next one goes on with it. Of
thousands that come together few are imported at once, so that a document which somebody waits for is not behind them.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from api.documents.deleting import Deleter
from api.documents.importing import Importer
from api.documents.receiving import Received, linked
from api.errors import (
    ApiError,
    CollectionNotFound,
    DocumentNotFound,
    NameTaken,
    NotFound,
    Unavailable,
    Unusable,
)
from api.files.files import Files
from api.index import Index
from api.models.bundled import BundledModels
from api.store import Store
from api.store.collection_files import CollectionFile, Waiting
from api.store.collections import Collection

log = logging.getLogger(__name__)

AT_A_TIME = 20
"""Files that are looked for together."""
AT_ONCE = 4
"""Imported side by side."""
RETRY_SECONDS = 5
FilesOf = Callable[[str], Files]
"""The files of a workspace."""


class Attaching:
    """Takes files in behind the answers; an installation has one."""

    def __init__(
        self,
        store: Store,
        index: Index,
        importer: Importer,
        deleter: Deleter,
        bundled: BundledModels,
        uploads: Path,
    ) -> None:
        """`uploads` is where a file lies until it is a document's; `store` that of all workspaces."""
        self.changing = anyio.Lock()
        """Whoever takes a file in, gives one up or takes one out holds this."""
        self._store = store
        self._index = index
        self._importer = importer
        self._deleter = deleter
        self._bundled = bundled
        self._uploads = uploads
        self.files_of: FilesOf | None = None
        """Until this is known every file waits."""
        self._free = asyncio.Semaphore(AT_ONCE)
        self._task: asyncio.Task[None] | None = None
        self._is_woken = False

    def wake(self) -> None:
        """Files wait."""
        self._is_woken = True
        if self.files_of and (self._task is None or self._task.done()):
            work = self._take_all_in(self.files_of)
            self._task = asyncio.create_task(work, name="attaching files")

    async def settled(self) -> None:
        """Wait until no file waits."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Stop; what waits is taken in after the next start."""
        self.files_of = None
        if self._task is not None:
            self._task.cancel()
            await self.settled()

    async def take_out(self, file: CollectionFile) -> None:
        """Take a file out of its collection, with its document unless another file is one with that."""
        async with self.changing:
            if not await self._is_gone_with_document(file):
                forget = self._store.collection_files.forget
                await run_sync(forget, file.collection_id, [file.file_id])

    async def give_up(self, collection_id: str, file_ids: Sequence[str]) -> None:
        """Let those of the files that are on their way not come."""
        async with self.changing:
            cancel = self._store.documents.cancel_files
            self._deleter.finish(await run_sync(cancel, collection_id, file_ids))

    async def delete_documents(self, ids: list[str]) -> None:
        """Delete documents that nobody wants any more."""
        for id in ids:
            with contextlib.suppress(DocumentNotFound):
                await self._deleter.delete([await run_sync(self._store.documents.get, id)])

    async def _is_gone_with_document(self, file: CollectionFile) -> bool:
        if file.document_id is None or not await self._is_alone(file):
            return False
        await self.delete_documents([file.document_id])
        return True

    async def _is_alone(self, file: CollectionFile) -> bool:
        """Whether no other file is one with its document."""
        if file.document_id is None:
            return True
        of_documents = self._store.collection_files.of_documents
        return len(await run_sync(of_documents, [file.collection_id], [file.document_id])) < 2

    async def _take_all_in(self, files_of: FilesOf) -> None:
        while True:
            self._is_woken = False
            try:
                found = await run_sync(self._store.collection_files.waiting, AT_A_TIME)
                taken = [await self._is_taken_in(one, files_of) for one in found]
            except ApiError as error:
                log.warning("Files wait: %s", error.detail)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if found and not any(taken):
                await asyncio.sleep(RETRY_SECONDS)
            elif not found and not self._is_woken:
                return

    async def _is_taken_in(self, waiting: Waiting, files_of: FilesOf) -> bool:
        """False where that has to wait. Its place is free when its import has ended."""
        await self._free.acquire()
        of_collection, file_id, name, workspace = waiting
        files = self._store.collection_files
        document_id = ""
        try:
            collection = await run_sync(self._store.collections.find, of_collection)
            self._bundled.require(self._index.embedder_of(collection).model)
            received = await run_sync(self._link, files_of(workspace), file_id, name)
            document_id = await self._take_in(collection, file_id, received)
        except (Unavailable, NameTaken) as error:  # another document has taken the name just now
            log.warning("The file %s waits: %s", file_id, error.detail)
            return False
        except CollectionNotFound:
            await run_sync(files.forget, of_collection, [file_id])
        except Exception as error:
            if not isinstance(error, ApiError):
                log.exception("Taking in the file %s failed.", file_id)
                error = ApiError("The import failed inside the service; its log says more.")
            await run_sync(files.end, of_collection, file_id, error.as_problem())
        finally:
            self._importer.when_ended(document_id, self._free.release)
        return True

    def _link(self, files: Files, file_id: str, name: str) -> Received:
        try:
            file = files.find(file_id)
            return linked(files.path(file_id), name, file.sha256, self._uploads)
        except (NotFound, FileNotFoundError):
            raise Unusable(f"The file {file_id!r} was deleted before it was read.") from None

    async def _take_in(self, collection: Collection, file_id: str, received: Received) -> str:
        """The document that is being imported under the file's name, or one that is free: several files may have one
        name. Empty where the file was given up.
        """
        store = self._store
        try:
            async with self.changing:
                if not await run_sync(store.collection_files.is_waiting, collection.id, file_id):
                    return ""
                name = await run_sync(store.documents.free_name, collection.id, received.name)
                outcome = await self._importer.import_document(
                    replace(received, name=name), collection, wait=False, file_id=file_id
                )
                return outcome.document.id
        finally:
            received.path.unlink(missing_ok=True)
