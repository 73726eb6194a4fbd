"""The search index over documents: put, candidates, remove, over meaning (vectors) and words.

Both follow the store and can be made again without embedding anything twice. `opening.open_index` reads settings.
"""

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import anyio
import numpy as np
from anyio.to_thread import run_sync

from api import faults
from api.errors import ApiError, EmbeddingMismatch
from api.index.dense import DenseIndex
from api.index.embedded import embedded_text
from api.index.embeddings import Embedder, Vectors, parts_of, versioned
from api.index.following import follow_words, words_that_differ
from api.index.lexical import Damaged, LexicalIndex
from api.index.likeness import Likeness
from api.index.reuse import embed
from api.index.scales import Scales
from api.index.switching import Switching
from api.index.turns import Turns, fitting
from api.index.values import RELATED, Candidates, Scored, VectorSet, Wanted, candidates_among
from api.index.vector_store import VectorStore
from api.names import model_key
from api.store import Store
from api.store.chunks import Chunk
from api.store.collections import Collection, Scope
from api.store.documents import Document

__all__ = ["Candidates", "Index", "Scored", "VectorSet", "VectorStore", "Wanted"]

Owners = Mapping[Collection, set[str]]
"""Collections, each with the versions of embedders under which its documents stand."""


class Index:
    """Meaning and words over the store's documents."""

    def __init__(
        self,
        store: Store,
        vectors: VectorStore,
        lexical: LexicalIndex,
        embedder: Embedder,
        *,
        vectors_behind: bool = False,
    ) -> None:
        self.embedder = embedder
        self.dense = DenseIndex(store, vectors, is_behind=vectors_behind)
        self._store = store
        self._lexical = lexical
        self._others: dict[tuple[str, str | None, str | None], Embedder] = {}
        self._present: set[str] = set()  # versions under which all that is theirs is kept
        self._notes: tuple[str, ...] = ()
        self._writing_words = anyio.Lock()
        self._scales = Scales()
        self._turns = Turns()
        self._likeness = Likeness(store)
        self.switching = Switching()

    def embedder_of(self, collection: Collection) -> Embedder:
        """What embeds a collection's documents and the questions about them."""
        name, query = collection.embedder or self.embedder.model, collection.query_template
        is_usual = model_key(name) == model_key(self.embedder.model)
        if is_usual and query is None:
            return self.embedder
        key = (name, query, collection.passage_template)
        if key not in self._others:
            of_model = self.embedder.used if is_usual else partial(self.embedder.named, name)
            self._others[key] = of_model(query, collection.passage_template)
        return self._others[key]

    async def pinned(self, collection: Collection) -> Embedder:
        """The same, which the collection keeps from now on whatever the settings say later."""
        if collection.query_template is None:
            templates = await self.embedder_of(collection).templates()
            pin = self._store.collections.pin
            collection = await run_sync(pin, collection.id, *templates)
        return self.embedder_of(collection)

    async def put(self, document: Document, chunks: Sequence[Chunk], embedder: Embedder) -> None:
        """Embed chunks of a document that is being imported, turn by turn, and keep them in the store."""
        while chunks:
            async with self._turns.turn() as tokens:
                some = fitting(chunks, tokens)
                texts = [embedded_text(document, chunk) for chunk in some]
                vectors, version, hashes = await embed(self._store, embedder, texts)
            await self._take_over(version)
            chunks = chunks[len(some) :]
            goes_on = bool(chunks) and chunks[0].page == some[-1].page
            done = some[-1].page - goes_on

            add = self._store.chunks.add
            await run_sync(add, document.content_id, some, vectors, version, done, hashes)
            faults.point("import_chunks_stored")

    async def complete(self, document: Document, embedder: Embedder) -> str:
        """Embed those of a document's chunks that lack a vector; the version by which all of them have one now."""
        embedder.look_again()
        version = await embedder.version()
        await self._take_over(version)
        lacking = await run_sync(self._store.vectors.lacking, document.content_id, version)
        while lacking:
            async with self._turns.turn() as tokens:
                some = fitting([chunk for _, chunk in lacking], tokens)
                ids = [one for one, _ in lacking[: len(some)]]
                texts = [embedded_text(document, chunk) for chunk in some]
                vectors, made_by, hashes = await embed(self._store, embedder, texts)
            await run_sync(self._store.vectors.put, ids, vectors, made_by, hashes)
            if made_by != version:  # the model was replaced meanwhile
                return await self.complete(document, embedder)
            lacking = lacking[len(some) :]
        return version

    async def place(self, document: Document, embedder: Embedder) -> None:
        """Make a document's chunks be found in its collection; embeds those that lack a vector."""
        await self.dense.place(document, await self.complete(document, embedder))

    async def candidates(
        self,
        scope: Scope,
        wanted: Sequence[Wanted],
        documents: Sequence[Document] | None,
        limit: int,
    ) -> list[Candidates]:
        """For each query the best `limit` chunks by meaning and by words, of the given documents or of all in
        the scope. Only chunks of ready documents.
        """
        within = None if documents is None else [one.id for one in documents]
        owners = await run_sync(self._owners, scope, documents)
        if not owners or not wanted:
            return [Candidates(one.query, (), ()) for one in wanted]
        version, dense = await self._by_meaning(owners, wanted, documents, limit)
        ids = [one.id for one in owners]

        def search_words() -> list[Candidates]:
            lexical = [self._words(ids, one, within, limit) for one in wanted]
            likeness = self._likeness_of(owners, version, documents)
            found = {hit.chunk_id for hits in (*dense, *lexical) for hit in hits}
            chunks = self._store.chunks.found(found, ids, within)
            return candidates_among(chunks, wanted, dense, lexical, likeness)

        return await run_sync(search_words)

    async def likeness(
        self, scope: Scope, documents: Sequence[Document] | None
    ) -> tuple[str, float] | None:
        """The version on whose scale `candidates` speaks, and how alike that is which it embedded; None where there is
        nothing to search.
        """
        owners = await run_sync(self._owners, scope, documents)
        if not owners:
            return None
        version = await self.embedder_of(next(iter(owners))).version()
        return version, await run_sync(self._likeness_of, owners, version, documents)

    def _likeness_of(
        self, owners: Owners, version: str, documents: Sequence[Document] | None
    ) -> float:
        """Of what the first owner's embedder has embedded, which is of that version."""
        embedder = self.embedder_of(next(iter(owners)))
        ids = [one.id for one in owners if self.embedder_of(one) is embedder]
        return self._likeness.of(version, ids, _within(documents, ids))

    def _owners(self, scope: Scope, documents: Sequence[Document] | None) -> Owners:
        """The collections of the scope in which something is to be searched, with the versions that it stands under."""
        versions = self._store.documents.versions_ready(scope.ids, _within(documents, scope.ids))
        present = self._store.collections.present(scope.ids)  # one may be switched
        return {one: versions[one.id] for one in present if one.id in versions}

    async def _by_meaning(
        self,
        owners: Owners,
        wanted: Sequence[Wanted],
        documents: Sequence[Document] | None,
        limit: int,
    ) -> tuple[str, Sequence[Sequence[Scored]]]:
        """The nearest for each query: by the embedder of each collection, then on the scale of the first, whose version
        comes before them.
        """
        groups: dict[Embedder, list[Collection]] = {}
        for one in owners:
            groups.setdefault(self.embedder_of(one), []).append(one)
        asked = []
        for embedder, theirs in groups.items():
            ids = [one.id for one in theirs]
            with self._turns.question():
                vectors, version = await _asked(embedder, wanted)
            await self._take_over(version)
            within = _within(documents, ids)
            if any(owners[one] != {version} for one in theirs):
                await self._require_version(ids, within, version)
            if within is None:
                found = await self.dense.nearest(ids, vectors, version, limit)
            else:
                found = await self.dense.compared(within, vectors, version, limit)
            asked.append((embedder, vectors, version, found))
        found = asked[0][3] if len(asked) == 1 else await self._scales.on_one(asked)
        return asked[0][2], found

    async def _require_version(
        self, collections: Sequence[str], within: Sequence[str] | None, version: str
    ) -> None:
        find = self._store.documents.embedded_otherwise
        if others := await run_sync(find, version, collections, within):
            raise _mismatch(others, version)

    async def _take_over(self, version: str) -> None:
        """What was embedded before versions had a digest is taken as made by the present one, once."""
        if version not in self._present:
            model, dimension, digest, mark = parts_of(version)
            if digest:
                await self._rename(versioned(model, dimension, "", mark), version)
            self._present.add(version)

    async def _rename(self, old: str, new: str) -> None:
        if await run_sync(self._store.vectors.rename_embedder, old, new):
            self.dense.renew()

    async def _take_old_versions_over(self) -> None:
        """The same for all that the runtime can tell the digest of, without embedding anything."""
        for version in await run_sync(self._store.documents.embedders):
            model, dimension, digest, mark = parts_of(version)
            if not digest:
                is_ours = model == self.embedder.model
                embedder = self.embedder if is_ours else self.embedder.named(model)
                with contextlib.suppress(ApiError):  # then when it is first used
                    if digest := await embedder.digest():
                        await self._rename(version, versioned(model, dimension, digest, mark))

    def _words(
        self, owners: Sequence[str], wanted: Wanted, documents: Sequence[str] | None, limit: int
    ) -> list[Scored]:
        search = partial(
            self._lexical.search,
            *(wanted.query, limit),
            related=wanted.related,
            owners=owners,
            documents=documents,
        )
        try:
            return search()
        except Damaged:
            self._lexical.clear()
            self._follow_words()
            return search()

    async def remove(self, document: Document) -> None:
        """Take a document's vectors and words out; idempotent."""
        await self.dense.remove(document)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Let the words follow what became searchable or stopped being it in the store."""
        async with self._writing_words:
            await run_sync(self._follow_words)

    def _follow_words(self) -> None:
        try:
            follow_words(self._store, self._lexical)
        except Damaged:
            self._lexical.clear()
            follow_words(self._store, self._lexical)

    async def findings(self) -> list[str]:
        """Where vectors and words differ from the store, one line each."""
        await self.catch_up()
        words = await run_sync(words_that_differ, self._store, self._lexical)
        differences = await self.dense.differences()
        return [one.text for one in differences] + ([words] if words else [])

    async def repair(self) -> list[str]:
        """Make words and vectors what the store says, without embedding anything; returns what was off.

        Called once at start, before imports go on; searches may go on meanwhile. Raises what keeps the
        vectors from being repaired; that is then tried again behind until it is done.
        """
        await self._take_old_versions_over()
        await self.catch_up()
        words = await run_sync(words_that_differ, self._store, self._lexical)
        if words:
            self._notes = (f"Repaired: {words}",)
            async with self._writing_words:
                await run_sync(self._lexical.clear)
            await self.catch_up()
        return [*await self.dense.repair(), *([words] if words else [])]

    async def check(self) -> tuple[str, ...]:
        """Raise when the vectors cannot be used; else notes for the operator."""
        return (*self._notes, *await self.dense.check())

    def close(self) -> None:
        """Give everything back."""
        self.dense.close()


def _within(documents: Sequence[Document] | None, collections: Sequence[str]) -> list[str] | None:
    """The ids of those documents that stand in one of the collections; None: all that stand there."""
    if documents is None:
        return None
    return [one.id for one in documents if one.collection_id in collections]


async def _asked(embedder: Embedder, wanted: Sequence[Wanted]) -> tuple[Vectors, str]:
    """A vector for each, of length 1, in which its related words count less."""
    related = [at for at, one in enumerate(wanted) if one.related]
    texts = [*(one.query for one in wanted), *(wanted[at].related for at in related)]
    vectors, version = await embedder.embed_queries(texts)
    asked = vectors[: len(wanted)]
    asked[related] += RELATED * vectors[len(wanted) :]
    return asked / np.linalg.norm(asked, axis=1, keepdims=True), version


def _mismatch(documents: Sequence[Document], version: str) -> EmbeddingMismatch:
    model, names = parts_of(version)[0], ", ".join(one.name for one in documents)
    others = sorted({one.embedder for one in documents})
    named = sorted({one.collection for one in documents})
    embed = ", ".join(f"`POST /collections/{name}/embed`" for name in named)
    if any(parts_of(other)[0] == model for other in others):
        return EmbeddingMismatch(
            f"The embedding model {model!r} is another one than when these documents were imported "
            f"({version}, not {', '.join(others)}): {names}. Bring the earlier one back under its name, or have the "
            f"documents embedded anew: {embed}."
        )
    return EmbeddingMismatch(
        f"The embedding model is {version}, and these documents were embedded by "
        f"{', '.join(others)}: {names}. Have them embedded anew: {embed}."
    )
