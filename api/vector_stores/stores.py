"""What can be done with the vector stores of a workspace: make, list, change, delete and search them.

A store is a collection, and its id is the collection's. A search asks no other model than any other search does.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from anyio.to_thread import run_sync

from api.documents.deleting import Deleter
from api.models.catalog import ModelCatalog
from api.names import collection_key, model_key
from api.rag import Answers, Sources
from api.runtime import ModelInfo
from api.store import Store
from api.store.collection_cards import Card
from api.store.collection_files import CollectionFile
from api.store.collections import Collection, Scope
from api.store.keyset import Part
from api.vector_stores.files import StoreFiles, Wanted
from api.vector_stores.filters import Filter
from api.vector_stores.values import Found, Passage, VectorStore, require_alive


class VectorStores:
    """Every method that takes an id raises `errors.CollectionNotFound`; the name of a collection does as well."""

    def __init__(
        self,
        store: Store,
        deleter: Deleter,
        models: ModelCatalog,
        answers: Answers,
        files: StoreFiles,
    ) -> None:
        self.files = files
        self._store = store
        self._cards = store.collection_cards
        self._deleter = deleter
        self._models = models
        self._answers = answers

    async def create(
        self,
        title: str,
        metadata: Mapping[str, str],
        expires_after_days: int | None,
        files: Sequence[Wanted],
    ) -> VectorStore:
        """A new one, into which these files are coming; `errors.NotFound` for a file that is not there.

        Its title is the collection's name too where that is valid and free, and no model's: those have collections of
        their own by their names.
        """
        known = await self.files.known(files)
        of_models = {model_key(one.info.name) for one in await self._models.all()}
        is_name = collection_key(title) not in of_models

        def made() -> Collection:
            create = self._cards.create
            return create(title, metadata, expires_after_days, is_name=is_name)

        collection = await run_sync(made)
        if known:
            await self.files.let_come(collection, known)
        return await self.get(collection.id)

    async def page(self, part: Part) -> tuple[list[VectorStore], bool]:
        """A part of all, and whether there are more."""
        found, has_more = await run_sync(self._cards.page, part)
        return await run_sync(self._all_told, found), has_more

    async def get(self, id: str) -> VectorStore:
        """One."""
        found = await run_sync(self._cards.seen, id)
        return (await run_sync(self._all_told, [found]))[0]

    async def update(self, id: str, changes: Mapping[str, Any]) -> VectorStore:
        """Note another `title`, `metadata` or `expires_after_days`; the collection's name stays. It is used by that."""
        collection, _ = await run_sync(self._cards.find, id)
        await run_sync(lambda: self._cards.update(collection.id, **changes))
        return await self.get(collection.id)

    async def delete(self, id: str) -> Collection:
        """Delete one with its documents; the files that they came from stay."""
        collection, _ = await run_sync(self._cards.find, id)
        await self._deleter.delete_collection(collection)
        return collection

    async def sources(
        self,
        ids: Sequence[str],
        filter: Filter | None = None,
        *,
        most: int | None = None,
        least: float = 0.0,
        rerank: bool = True,
    ) -> Sources:
        """Where to search, or to answer from, for some stores: all that is ready in them, or what the filter holds for.
        `errors.Unusable` for one that has expired.
        """

        def found() -> Sources:
            used = {one.id: one for one in map(self._used, dict.fromkeys(ids))}
            scope = Scope("the vector stores", tuple(used.values()))
            self._cards.touch(scope.ids)
            if filter is None:
                return Sources(scope, None, most, least, rerank)
            noted = self._store.collection_files.attributes(scope.ids)
            meant = [document for document, attributes in noted if filter.holds(attributes)]
            documents = self._store.documents.ready_among(scope, meant)
            return Sources(scope, documents, most, least, rerank)

        return await run_sync(found)

    async def files_of(
        self, sources: Sources, document_ids: Iterable[str], filter: Filter | None = None
    ) -> dict[str, CollectionFile]:
        """The file that each of these documents is known by, by the documents' ids: the first that the filter holds
        for, where several are one document.
        """
        of_documents = self._store.collection_files.of_documents
        found = await run_sync(of_documents, sources.scope.ids, list(document_ids))
        files: dict[str, CollectionFile] = {}
        for file in found:
            if file.document_id and (filter is None or filter.holds(file.attributes)):
                files.setdefault(file.document_id, file)
        return files

    async def search(
        self,
        sources: Sources,
        queries: Sequence[str],
        limit: int,
        *,
        filter: Filter | None = None,
        rephrase_by: ModelInfo | None = None,
    ) -> Found:
        """The best passages of sources that this filter has chosen, each page once, best first."""
        self._answers.look_again(sources)
        searched = await self._answers.passages(sources, queries, limit, rephrase_by)
        ids = {hit.document_id for hit in searched.hits}
        files = await self.files_of(sources, ids, filter)
        passages = [
            Passage(hit, files[hit.document_id])
            for hit in searched.hits
            if hit.document_id in files  # one may have gone just now
        ]
        return Found(passages, searched.queries)

    def _used(self, id: str) -> Collection:
        collection, card = self._cards.seen(id)
        require_alive(collection, card)
        return collection

    def _all_told(self, found: Sequence[tuple[Collection, Card]]) -> list[VectorStore]:
        ids = [collection.id for collection, _ in found]
        counts = self._store.collection_files.counts(ids)
        sizes = self._store.collection_files.sizes(ids)
        now = datetime.now(UTC)
        return [
            VectorStore(
                collection,
                card,
                counts.get(collection.id, {}),
                sizes.get(collection.id, 0),
                card.is_expired(now),
            )
            for collection, card in found
        ]
