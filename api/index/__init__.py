"""The search index over documents: put, candidates, remove, over meaning (vectors) and words.

Both halves are derived from the store, follow it, and can be thrown away and made again without embedding
anything twice. `opening.open_index` is the constructor that reads settings.
"""

import logging
from collections.abc import Sequence

import anyio
import numpy as np
from anyio.to_thread import run_sync

from api import faults
from api.errors import BackEndFailed, EmbeddingMismatch
from api.index.embeddings import Embedder, Vectors
from api.index.following import (
    Difference,
    follow_words,
    mend,
    name_in_words,
    vector_differences,
    words_that_differ,
)
from api.index.lexical import Damaged, LexicalIndex, owner_of
from api.index.values import Candidates, Collection, Scored
from api.index.vector_store import VectorStore
from api.names import model_key
from api.store import Store
from api.store.documents import Chunk, Document

__all__ = ["Candidates", "Collection", "Index", "Scored", "VectorStore"]


log = logging.getLogger(__name__)

LABEL_CHARACTERS = 60
"""What is read of a document's name and of a heading when a chunk is embedded."""
MARKS = 8
"""Tokens that a model may put around a text."""


class Index:
    """Meaning and words over the store's documents.

    Every id in the vector store has a row in the store: rows come before vectors and go after them. While
    `vectors_behind`, vectors are compared in the store instead: slower, and as right.
    """

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
        self._store = store
        self._vectors = vectors
        self._lexical = lexical
        self._vectors_behind = vectors_behind
        self._notes: tuple[str, ...] = ()
        self._writing_vectors = anyio.Lock()
        self._writing_words = anyio.Lock()

    async def longest_chunk(self) -> int:
        """Tokens that a chunk may have to be embedded whole, its labels and the model's marks included."""
        return max(16, await self.embedder.longest() - 2 * LABEL_CHARACTERS - MARKS)

    async def put(self, document: Document, chunks: Sequence[Chunk], *, pages_done: int) -> None:
        """Embed chunks of a document that is being imported, keep them in the store and their vectors here."""
        vectors = await self.embedder.embed([embedded_text(document, chunk) for chunk in chunks])
        version = self.embedder.version(vectors)
        collection = Collection(document.model, version)

        def keep() -> None:
            ids = self._store.documents.add_chunks(
                document.id, chunks, vectors, version, pages_done
            )
            faults.point("import_chunks_stored")
            self._vectors.put(collection, ids, vectors)
            faults.point("import_vectors_stored")

        async with self._writing_vectors:
            await run_sync(keep)

    async def candidates(
        self,
        model: str,
        queries: Sequence[str],
        documents: Sequence[Document] | None,
        limit: int,
    ) -> list[Candidates]:
        """For each query the best `limit` chunks by meaning and by words, of the given documents or of all
        that the model can be asked about. Only chunks of ready documents.
        """
        searched = documents
        if searched is None:
            searched = await run_sync(self._store.documents.of_model, model)
        if not searched or not queries:
            return [Candidates(query, (), ()) for query in queries]
        vectors = await self.embedder.embed(queries)
        version = self.embedder.version(vectors)
        _require_version(searched, version)

        def search() -> list[Candidates]:
            dense = None
            if documents is None and not self._vectors_behind:
                collections = {Collection(one.model, version) for one in searched}
                dense = self._nearest(collections, vectors, limit)
            if dense is None:
                dense = self._compare([one.id for one in searched], vectors, limit)
            wanted = None if documents is None else [one.id for one in documents]
            lexical = [self._words(model, query, wanted, limit) for query in queries]
            return self._only_ready(queries, dense, lexical)

        return await run_sync(search)

    def _nearest(
        self, collections: set[Collection], vectors: Vectors, limit: int
    ) -> list[list[Scored]] | None:
        try:
            found = [self._vectors.query(one, vectors, limit) for one in collections]
        except BackEndFailed as error:
            log.error("The vectors are compared in the database: %s", error.detail)
            self._notes = (f"Searches are slow until the next start: {error.detail}",)
            self._vectors_behind = True
            return None
        return [
            sorted((hit for hits in per_query for hit in hits), key=lambda hit: -hit.score)[:limit]
            for per_query in zip(*found, strict=True)
        ]

    def _compare(
        self, document_ids: Sequence[str], vectors: Vectors, limit: int
    ) -> list[list[Scored]]:
        ids, kept = self._store.index_source.vectors_of(document_ids)
        if not len(ids):
            return [[] for _ in vectors]
        scores = vectors @ kept.astype(np.float32).T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
        return [
            [Scored(int(ids[at]), float(row[at])) for at in order]
            for row, order in zip(scores, best, strict=True)
        ]

    def _words(
        self, model: str, query: str, documents: Sequence[str] | None, limit: int
    ) -> list[Scored]:
        owners = [owner_of(model_key(model)), owner_of("")] if documents is None else None
        try:
            return self._lexical.search(query, limit, owners=owners, documents=documents)
        except Damaged:
            self._lexical.clear()
            self._follow_words()
            return self._lexical.search(query, limit, owners=owners, documents=documents)

    def _only_ready(
        self,
        queries: Sequence[str],
        dense: Sequence[Sequence[Scored]],
        lexical: Sequence[Sequence[Scored]],
    ) -> list[Candidates]:
        found = {hit.chunk_id for hits in (*dense, *lexical) for hit in hits}
        ready = self._store.index_source.ready_chunk_ids(list(found))
        return [
            Candidates(
                query,
                tuple(hit for hit in by_meaning if hit.chunk_id in ready),
                tuple(hit for hit in by_words if hit.chunk_id in ready),
            )
            for query, by_meaning, by_words in zip(queries, dense, lexical, strict=True)
        ]

    async def remove(self, document: Document) -> None:
        """Take a document's vectors and words out; idempotent."""

        def take_out() -> None:
            mine = [one for one in self._vectors.collections() if one.model == document.model]
            is_last = not self._store.documents.has_live(document.model)
            ids = self._store.documents.chunk_ids(document.id)
            for collection in mine:
                if is_last:
                    self._vectors.drop(collection)
                elif ids:
                    self._vectors.delete(collection, ids)

        async with self._writing_vectors:
            await run_sync(take_out)
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
        differences = await self._vector_differences()
        words = await run_sync(words_that_differ, self._store, self._lexical)
        return [one.text for one in differences] + ([words] if words else [])

    async def repair(self) -> list[str]:
        """Make vectors and words what the store says, without embedding anything; returns what was off.

        Called once at start, before imports go on; searches may go on meanwhile.
        """
        await self.catch_up()
        found = []
        for difference in await self._vector_differences():
            found.append(difference.text)
            await self._mend(difference)
        self._vectors_behind = False
        if words := await run_sync(words_that_differ, self._store, self._lexical):
            found.append(words)
            async with self._writing_words:
                await run_sync(self._lexical.clear)
            await self.catch_up()
        self._notes = tuple(f"Repaired: {text}" for text in found)
        return found

    async def _vector_differences(self) -> list[Difference]:
        async with self._writing_vectors:
            return await run_sync(vector_differences, self._store, self._vectors)

    async def _mend(self, difference: Difference) -> None:
        for batch in difference.steps():
            async with self._writing_vectors:  # given up between batches: imports and deletes go on
                await run_sync(mend, self._store, self._vectors, batch)

    async def check(self) -> tuple[str, ...]:
        """Raise when it cannot serve; else notes for the operator."""
        await run_sync(self._vectors.check)
        if self._vectors_behind:
            return (*self._notes, "The vectors are being compared with the database.")
        return self._notes

    def close(self) -> None:
        """Give everything back."""
        self._vectors.close()


def embedded_text(document: Document, chunk: Chunk) -> str:
    """What is embedded of a chunk: under its document's name and its heading, which tell it apart from
    chunks like it.
    """
    heading = chunk.heading if chunk.heading not in chunk.text else ""
    labels = [label[:LABEL_CHARACTERS] for label in (name_in_words(document), heading) if label]
    return "\n".join([*labels, chunk.text])


def _require_version(documents: Sequence[Document], version: str) -> None:
    others = {one.embedder for one in documents} - {version}
    if others:
        names = ", ".join(one.name for one in documents if one.embedder != version)
        raise EmbeddingMismatch(
            f"The embedding model is {version}, and these documents were embedded by "
            f"{', '.join(sorted(others))}: {names}. Set LLM_FASTAPI_EMBEDDING_MODEL back to that "
            "model, or delete the documents and import them again."
        )
