"""The search index over documents: put, candidates, remove, over meaning (vectors) and words.

Both halves are derived from the store, follow it, and can be thrown away and made again without embedding
anything twice. `opening.open_index` is the constructor that reads settings.
"""

from collections.abc import Sequence

import anyio
from anyio.to_thread import run_sync

from api.errors import EmbeddingMismatch
from api.index.dense import DenseIndex
from api.index.embeddings import Embedder
from api.index.following import follow_words, name_in_words, words_that_differ
from api.index.lexical import Damaged, LexicalIndex, owner_of
from api.index.values import Candidates, Collection, Scored
from api.index.vector_store import VectorStore
from api.names import model_key
from api.store import Store
from api.store.documents import Chunk, Document

__all__ = ["Candidates", "Collection", "Index", "Scored", "VectorStore"]

LABEL_CHARACTERS = 60
"""What is read of a document's name and of a heading when a chunk is embedded."""
MARKS = 8
"""Tokens that a model may put around a text."""


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
        self._notes: tuple[str, ...] = ()
        self._writing_words = anyio.Lock()

    async def longest_chunk(self) -> int:
        """Tokens that a chunk may have to be embedded whole, its labels and the model's marks included."""
        return max(16, await self.embedder.longest() - 2 * LABEL_CHARACTERS - MARKS)

    async def put(self, document: Document, chunks: Sequence[Chunk], *, pages_done: int) -> None:
        """Embed chunks of a document that is being imported, keep them in the store and their vectors here."""
        vectors = await self.embedder.embed([embedded_text(document, chunk) for chunk in chunks])
        version = self.embedder.version(vectors)
        await self.dense.put(document, chunks, vectors, version, pages_done)

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
        if documents is None:
            dense = await self.dense.nearest(searched, vectors, version, limit)
        else:
            dense = await self.dense.compared(searched, vectors, limit)
        wanted = None if documents is None else [one.id for one in documents]

        def search_words() -> list[Candidates]:
            lexical = [self._words(model, query, wanted, limit) for query in queries]
            return self._only_ready(queries, dense, lexical)

        return await run_sync(search_words)

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
        """Take a document's vectors, chunks and words out; idempotent."""
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
