"""What can be done with collections and their documents: list, get, import, delete.

A model's documents stand in the collection of its name; whoever names a model means that one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from anyio.to_thread import run_sync

from api.documents.deleting import Deleter
from api.documents.importing import Importer
from api.documents.receiving import receive
from api.documents.reembedding import Reembedder
from api.errors import DocumentNotFound, EmbeddingMismatch, InvalidOption
from api.index import Index
from api.models.bundled import BundledModels
from api.models.catalog import ModelCatalog
from api.names import FOR_ALL, document_key, model_key, valid_collection_name
from api.runtime import ModelInfo, ModelRuntime
from api.settings import Settings
from api.store import Store
from api.store.collections import Collection, Scope
from api.store.documents import Document


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose documents: those of a collection (id or name), else a model's; without both those for all models."""

    model: str = ""
    collection: str = ""


@dataclass(frozen=True, slots=True)
class ListedCollection:
    """A collection with the embedding model that it uses and how many of its documents can be searched."""

    id: str
    name: str
    embedder: str
    documents: int
    created_at: str
    shared: bool
    embedding: "Embedding | None"


@dataclass(frozen=True, slots=True)
class Embedding:
    """How far a collection is embedded anew: `embedder` is what it is, or was, embedded by, `previous` what answered
    until then.
    """

    embedder: str
    previous: str
    status: str
    reread: bool
    documents_done: int
    documents_total: int
    error: dict[str, Any] | None
    started_at: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The document, whether it is new, under which name its file came, whether that is a newer version of it, and what
    is still to take its place.
    """

    document: Document
    is_new: bool
    name: str
    is_newer: bool = False
    replacement: Document | None = None

    @property
    def is_coming(self) -> bool:
        """Whether it is not there yet, or not in its newer version."""
        return "importing" in (self.document.status, self.replacement and self.replacement.status)

    @property
    def has_other_name(self) -> bool:
        """Whether the same bytes were there under another name."""
        return document_key(self.document.name) != document_key(self.name)


class CollectionCatalog:
    """Collections and their documents over store, index and models."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        runtime: ModelRuntime,
        index: Index,
        importer: Importer,
        deleter: Deleter,
        reembedder: Reembedder,
        models: ModelCatalog,
        bundled: BundledModels,
    ) -> None:
        self._settings = settings
        self._store = store
        self._runtime = runtime
        self._index = index
        self._importer = importer
        self._deleter = deleter
        self._reembedder = reembedder
        self._models = models
        self._bundled = bundled

    async def create(self, name: str, embedder: str = "") -> ListedCollection:
        """An empty one; `errors.NameTaken`, and `errors.InvalidOption` for no embedding model."""
        name = valid_collection_name(name)
        if embedder:
            embedder = await self._embedding_model(embedder)
        return await self._listed(await run_sync(self._store.collections.create, name, embedder))

    async def embedder_for(self, model: str, wanted: str) -> str:
        """The name of the embedding model that a model's own documents are to have, empty when none is wanted;
        `errors.InvalidOption` for no embedding model, and `errors.EmbeddingMismatch` when they have another.
        """
        if not wanted:
            return ""
        embedder = await self._embedding_model(wanted)
        scope = await run_sync(self._store.collections.scope_of, model)
        own = self._own(Owner(model), scope)
        if own and own.embedder and model_key(own.embedder) != model_key(embedder):
            raise EmbeddingMismatch(
                f"The documents of {model!r} are embedded by {own.embedder!r}. Leave `embedder` out, or have the "
                f"collection {own.name!r} embedded anew."
            )
        return embedder

    async def give_embedder(self, model: str, embedder: str) -> None:
        """Make a model's collection with that embedding model, unless it is there."""
        await run_sync(self._store.collections.named, model, embedder)

    async def page(self, limit: int, after: str | None) -> tuple[list[ListedCollection], bool]:
        """Up to `limit` after one of that id or name, oldest first, and whether there are more."""
        found = await run_sync(self._store.collections.page, limit + 1, after)
        return await self._all_listed(found[:limit]), len(found) > limit

    async def get(self, id_or_name: str) -> ListedCollection:
        """One by id or name; `errors.CollectionNotFound`."""
        return await self._listed(await run_sync(self._store.collections.seen, id_or_name))

    async def share(self, id_or_name: str, shared: bool) -> ListedCollection:
        """Let every workspace look into it, or no other one any more."""
        collection = await run_sync(self._store.collections.find, id_or_name)
        return await self._listed(
            await run_sync(self._store.collections.share, collection.id, shared)
        )

    async def delete(self, id_or_name: str) -> tuple[Collection, list[Document]]:
        """Delete a collection with its documents; what other collections have of them stays."""
        collection = await run_sync(self._store.collections.find, id_or_name)
        documents = await self._deleter.delete_collection(collection)
        return collection, documents

    async def require_place(self, owner: Owner) -> None:
        """Whether documents can come there: `errors.ModelNotFound`, `errors.CollectionNotFound`, `errors.NotReady`."""
        await self._collection_for(owner)

    async def embed(self, id_or_name: str, embedder: str, *, reread: bool) -> ListedCollection:
        """Begin to embed it anew, by its own model when none is named; `errors.InvalidOption` for an unknown one."""
        collection = await run_sync(self._store.collections.find, id_or_name)
        if embedder:
            embedder = await self._embedding_model(embedder)
        embedder = embedder or self._index.embedder_of(collection).model
        await self._reembedder.start(collection, embedder, reread=reread)
        return await self._listed(collection)

    async def roll_back(self, id_or_name: str) -> ListedCollection:
        """Begin to switch back to the index that answered before it was embedded anew; `errors.WrongState`."""
        collection = await run_sync(self._store.collections.find, id_or_name)
        await self._reembedder.roll_back(collection)
        return await self._listed(collection)

    async def end_embedding(self, id_or_name: str) -> ListedCollection:
        """Give up embedding it anew, or drop the index that answered before; `errors.WrongState`."""
        collection = await run_sync(self._store.collections.find, id_or_name)
        await self._reembedder.end(collection)
        return await self._listed(collection)

    async def import_document(
        self,
        owner: Owner,
        file: BinaryIO,
        filename: str,
        *,
        wait: bool,
        password: str = "",
        replace: bool = False,
    ) -> Imported:
        """Keep a document, so that it can be searched; `Importer.import_document` says what else can come of it."""
        collection_for_it = await self._collection_for(owner)
        received = await receive(file, filename, self._settings.uploads_dir)
        try:
            document, is_new, is_newer = await self._importer.import_document(
                received,
                await run_sync(collection_for_it),  # a refused file has none made
                wait=wait,
                password=password,
                replace=replace,
            )
        finally:
            received.path.unlink(missing_ok=True)
        coming = await self.replacement(document.id)
        return Imported(document, is_new, received.name, is_newer, coming)

    async def documents(
        self, owner: Owner, *, limit: int | None = None, after: str | None = None
    ) -> tuple[list[Document], bool]:
        """What can be searched there, by name, and whether there is more.

        At most `limit`, after the one of that id or name.
        `errors.ModelNotFound` when there is neither a model nor a document of that name.
        """
        scope = await self._scope(owner)
        await self._require_known(owner, scope)

        def found() -> list[Document]:
            one_more = limit and limit + 1
            return self._store.documents.ready_in(scope, limit=one_more, after=after)

        documents = await run_sync(found)
        return documents[:limit], limit is not None and len(documents) > limit

    async def document(self, document_id: str) -> Document:
        """One by its id; `errors.DocumentNotFound`, also for what is embedded beside a document."""
        document = await run_sync(self._store.documents.get, document_id)
        if document.status in ("embedding", "standby"):
            raise DocumentNotFound(f"No document {document_id!r}.")
        return document

    async def replacement(self, document_id: str) -> Document | None:
        """What is being imported to take its place, or was and failed."""
        return await run_sync(self._store.replacements.of, document_id)

    async def delete_document(self, owner: Owner, name_or_id: str) -> Document:
        """Delete one, the model's own before one for all models; `errors.DocumentNotFound`, `errors.ReadOnly`."""
        scope = await self._scope(owner)
        document = await run_sync(self._store.documents.find_any, scope, name_or_id)
        await run_sync(self._store.collections.find, document.collection_id)
        return await self._deleter.delete_document(scope, document.id)

    async def delete_all(self, owner: Owner) -> Sequence[Document]:
        """Delete all of the collection, or of the model's own; those for all models stay."""
        scope = await self._scope(owner)
        await self._require_known(owner, scope)
        own = self._own(owner, scope)
        if own:
            await run_sync(self._store.collections.find, own.id)
        return await self._deleter.delete_all(own) if own else ()

    async def _scope(self, owner: Owner) -> Scope:
        return await run_sync(self._store.collections.scope, owner.model, owner.collection)

    async def _collection_for(self, owner: Owner) -> Callable[[], Collection]:
        """What tells where an import goes; a model's collection is made when it is first asked."""
        if owner.collection:
            collection = await run_sync(self._store.collections.find, owner.collection)
            self._bundled.require(self._index.embedder_of(collection).model)
            return lambda: collection
        self._bundled.require(owner.model, self._settings.embedding_model)
        model = await self._models.require_chat(owner.model) if owner.model else ""
        return partial(self._store.collections.of_model, model)

    async def _require_known(self, owner: Owner, scope: Scope) -> None:
        own = self._own(owner, scope)
        filled = await run_sync(self._store.documents.filled, [own.id] if own else [])
        if not (owner.collection or filled):
            await self._models.require_chat(owner.model)

    def _own(self, owner: Owner, scope: Scope) -> Collection | None:
        """The collection that is meant, without that for all models beside a model's, and what is shared."""
        if owner.collection:
            return scope.collections[0]
        if owner.model == FOR_ALL:
            return None
        key = model_key(owner.model)
        own = filter(self._store.collections.owns, scope.collections)
        return next((one for one in own if model_key(one.name) == key), None)

    async def _embedding_model(self, name: str) -> str:
        await self._models.waiting.take_in(name)
        infos = await self._embedding_models()
        if model_key(name) not in infos:
            await self._bundled.bring(name)
            infos = await self._embedding_models()
        if info := infos.get(model_key(name)):
            return info.name
        known = ", ".join(info.name for info in infos.values()) or "none"
        raise InvalidOption(f"No embedding model {name!r}. There are: {known}.", where="embedder")

    async def _embedding_models(self) -> dict[str, ModelInfo]:
        infos = await self._runtime.models()
        return {model_key(one.name): one for one in infos if "embed" in one.capabilities}

    async def _listed(self, collection: Collection) -> ListedCollection:
        return (await self._all_listed([collection]))[0]

    async def _all_listed(self, collections: Sequence[Collection]) -> list[ListedCollection]:
        ids = [one.id for one in collections]
        counts = await run_sync(self._store.collections.counts, ids)
        embeddings = await run_sync(self._embeddings, ids)
        return [
            ListedCollection(
                one.id,
                one.name,
                self._index.embedder_of(one).model,
                counts.get(one.id, 0),
                one.created_at,
                one.shared,
                embeddings.get(one.id),
            )
            for one in collections
        ]

    def _embeddings(self, ids: Sequence[str]) -> dict[str, Embedding]:
        """How far those of the collections are that are, or were, embedded anew."""
        return {
            id: Embedding(
                one.embedder,
                one.previous,
                one.status,
                one.reread,
                *self._store.reembeddings.progress(one),
                one.error,
                one.started_at,
            )
            for id, one in self._store.reembeddings.find(ids).items()
        }
