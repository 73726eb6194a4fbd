"""The files of vector stores: they come, alone or in batches, are listed, looked at and taken out again."""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from anyio.to_thread import run_sync

from api.errors import NotFound, NotReady, Unusable
from api.files.files import Files
from api.store import Store
from api.store.collection_files import CollectionFile, FileStatus, NewFile
from api.store.collections import Collection
from api.store.contents import Page
from api.store.keyset import Part
from api.vector_stores.attaching import Attaching
from api.vector_stores.values import FileBatch, require_alive


class Wanted(NamedTuple):
    """A file that is to come into a store; without attributes it keeps those that it has there."""

    file_id: str
    attributes: Mapping[str, Any] | None = None


class StoreFiles:
    """Every method raises `errors.CollectionNotFound` for a store, and `errors.NotFound` for a file or a batch, that is
    not there, and what changes something `errors.ReadOnly` for a store that is shared.
    """

    def __init__(self, store: Store, files: Files, attaching: Attaching) -> None:
        self._store = store
        self._rows = store.collection_files
        self._files = files
        self._attaching = attaching

    async def require_place(self, store_id: str) -> None:
        """Whether files can come into a store; `errors.Unusable` for one that has expired."""
        await self._alive(store_id)

    async def known(self, wanted: Sequence[Wanted]) -> list[NewFile]:
        """The files with their names; of one that is named twice the last."""

        def found() -> list[NewFile]:
            each = {one.file_id: one for one in wanted}
            files = {file_id: self._files.find(file_id) for file_id in each}
            return [
                NewFile(id, file.name, each[id].attributes, file.expires_at)
                for id, file in files.items()
            ]

        return await run_sync(found)

    async def let_come(
        self, collection: Collection, files: Sequence[NewFile], batch_id: str = ""
    ) -> None:
        """Let files wait until they are taken in, which begins now."""
        needless = await run_sync(self._rows.add, collection.id, files, batch_id)
        await self._attaching.delete_documents(needless)
        await run_sync(self._store.collection_cards.touch, [collection.id])
        self._attaching.wake()

    def resume(self) -> None:
        """At start, once: go on with the files that wait in any workspace."""
        self._attaching.wake()

    async def add(self, store_id: str, wanted: Wanted) -> CollectionFile:
        """A file comes into a store. One that is there, or on its way, stays as it is but for its attributes."""
        collection = await self._alive(store_id)
        await self.let_come(collection, await self.known([wanted]))
        return await run_sync(self._rows.find, collection.id, wanted.file_id)

    async def page(
        self, store_id: str, part: Part, status: FileStatus | None = None
    ) -> tuple[list[CollectionFile], bool]:
        """A part of a store's files in that state, and whether there are more."""
        collection = await self._collection(store_id)
        return await run_sync(self._rows.page, collection.id, part, status)

    async def get(self, store_id: str, file_id: str) -> CollectionFile:
        """One."""
        collection = await self._collection(store_id)
        return await run_sync(self._rows.find, collection.id, file_id)

    async def set_attributes(
        self, store_id: str, file_id: str, attributes: Mapping[str, Any]
    ) -> CollectionFile:
        """The file with other attributes."""
        file = await self._own(store_id, file_id)
        await run_sync(self._rows.set_attributes, file, attributes)
        return await run_sync(self._rows.find, file.collection_id, file_id)

    async def remove(self, store_id: str, file_id: str) -> CollectionFile:
        """Take one out of the store; the file itself stays."""
        file = await self._own(store_id, file_id)
        await self._attaching.take_out(file)
        return file

    async def remove_everywhere(self, file_id: str) -> None:
        """Take a file out of every store of the workspace."""
        for store_id in await run_sync(self._rows.of_file, file_id):
            with contextlib.suppress(NotFound):  # it is going with its store or its document
                await self._attaching.take_out(await run_sync(self._rows.find, store_id, file_id))

    async def pages(self, store_id: str, file_id: str) -> list[Page]:
        """What was read of a file; `errors.NotReady` until it is, `errors.Unusable` where nothing could be."""
        file = await self.get(store_id, file_id)
        if file.status == "completed" and file.document_id:
            document = await run_sync(self._store.documents.get, file.document_id)
            return await run_sync(self._store.contents.pages, document.content_id)
        if file.status == "in_progress":
            raise NotReady(f"The file {file_id!r} is still on its way into the vector store.")
        raise Unusable(f"The file {file_id!r} has no content here: it is {file.status}.")

    async def add_batch(self, store_id: str, wanted: Sequence[Wanted]) -> FileBatch:
        """Files come into a store together."""
        collection = await self._alive(store_id)
        id = f"vsfb_{secrets.token_hex(8)}"
        await self.let_come(collection, await self.known(wanted), id)
        return await self.batch(collection.id, id)

    async def batch(self, store_id: str, batch_id: str) -> FileBatch:
        """Files that came together, as far as they are in the store now."""
        collection = await self._collection(store_id)

        def found() -> FileBatch:
            batch = self._rows.batch(collection.id, batch_id)
            counts = self._rows.counts([collection.id], batch.file_ids)
            return FileBatch(batch, counts.get(collection.id, {}))

        return await run_sync(found)

    async def cancel_batch(self, store_id: str, batch_id: str) -> FileBatch:
        """Let those of its files that are not there yet not come; one that has ended stays as it is."""
        await run_sync(self._store.collections.find, store_id)
        found = await self.batch(store_id, batch_id)
        if found.status == "in_progress":
            await run_sync(self._rows.mark_cancelled, batch_id)
            await self._attaching.give_up(found.batch.collection_id, found.batch.file_ids)
        return await self.batch(store_id, batch_id)

    async def batch_page(
        self, store_id: str, batch_id: str, part: Part, status: FileStatus | None = None
    ) -> tuple[list[CollectionFile], bool]:
        """A part of a batch's files, and whether there are more."""
        batch = (await self.batch(store_id, batch_id)).batch
        return await run_sync(self._rows.page, batch.collection_id, part, status, batch.file_ids)

    async def _collection(self, store_id: str) -> Collection:
        return await run_sync(self._store.collections.seen, store_id)

    async def _own(self, store_id: str, file_id: str) -> CollectionFile:
        await run_sync(self._store.collections.find, store_id)
        return await self.get(store_id, file_id)

    async def _alive(self, store_id: str) -> Collection:
        collection, card = await run_sync(self._store.collection_cards.find, store_id)
        require_alive(collection, card)
        return collection
