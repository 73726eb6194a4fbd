"""The service's own way, by its own code: split, store, vectors, words, fusion, pages; whole, or with one part off."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from api.documents.split import pack, pieces
from api.index import Index
from api.index.asked import WEIGHTS
from api.index.chroma import open_embedded
from api.index.embeddings import BATCH
from api.index.lexical import LexicalIndex
from api.index.values import Wanted
from api.rag.fuse import fuse
from api.rag.ranking import USUAL, Weights
from api.rag.retrieve import CANDIDATES, in_order
from api.rag.vocabulary import related
from api.settings import Settings
from api.store import Store, open_store
from api.store.collections import Collection
from api.store.contents import Extracted
from retrieval_bench.embedder import KnownEmbedder
from retrieval_bench.libraries import Library, Place

COLLECTION = "bench"


@dataclass(frozen=True)
class Parts:
    """What of the recipe is on."""

    dense: float = field(default_factory=lambda: Settings.model_fields["dense_weight"].default)
    ranking: Weights = USUAL
    vocabulary: bool = True
    off: tuple[str, ...] = ()
    """Fields of the words that do not count."""
    once: bool = True
    """Each page once: else a search of ten passages is one of fewer pages."""


USUALLY = Parts()
VARIANTS = {
    "ours": USUALLY,
    "- words": Parts(dense=1),
    "- meaning": Parts(dense=0),
    "- name, title, heading": Parts(off=("name", "title", "heading")),
    "- name against question": Parts(ranking=replace(USUAL, name=0)),
    "- document's share": Parts(ranking=replace(USUAL, document=0)),
    "- pages beside": Parts(ranking=replace(USUAL, neighbours=0)),
    "- vocabulary": Parts(vocabulary=False),
    "- each page once": Parts(once=False),
    "meaning counts .7": Parts(dense=0.7),
}


class Ours:
    """One library in a store and an index of its own."""

    def __init__(self, store: Store, index: Index, collection: Collection, folder: Path) -> None:
        self._store, self._index, self._collection = store, index, collection
        self._folder = folder

    @classmethod
    async def of(cls, library: Library, embedder: KnownEmbedder, folder: Path) -> "Ours":
        """Import all documents as the service does, but for the reading."""
        store = open_store(folder / "store.db")
        index = Index(
            store,
            open_embedded(folder / "chroma"),
            LexicalIndex(folder / "words"),
            cast(Any, embedder),
        )
        collection = store.collections.create(COLLECTION, embedder.model)
        for name, read in library.documents.items():
            document = store.documents.add(name, collection, name, 1, embedder.model).document
            found = Extracted(read.title, tuple(read.pages), language=read.language)
            store.contents.set_pages(document.content_id, found)
            document = store.documents.get(document.id)
            chunk_tokens = Settings.model_fields["chunk_tokens"].default
            overlap = Settings.model_fields["chunk_overlap_tokens"].default
            cut = pieces(read.pages, chunk_tokens)
            counts = embedder.counts([piece.text for piece in cut])
            chunks = pack(read.pages, cut, counts, chunk_tokens, overlap)
            for start in range(0, len(chunks), BATCH):
                await index.put(document, chunks[start : start + BATCH], cast(Any, embedder))
            await index.place(document, cast(Any, embedder))
            store.documents.mark_ready(document.id)
        await index.catch_up()
        return cls(store, index, collection, folder)

    @property
    def megabytes(self) -> float:
        """All that it keeps."""
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file()) / 1e6

    async def pages(
        self, queries: Sequence[str], parts: Parts = USUALLY, limit: int = 10
    ) -> list[Place]:
        """What a search gives: the pages in their order. The first query is the question."""
        scope = self._store.collections.scope("", COLLECTION)
        with _without(parts.off):
            wanted = [Wanted(one, related(one) if parts.vocabulary else "") for one in queries]
            candidates = await self._index.candidates(scope, wanted, None, CANDIDATES)
        ranked = fuse(candidates, parts.dense)
        chunks, likeness = candidates[0].chunks, candidates[0].likeness
        found = in_order(self._store, chunks, ranked, queries[0], likeness, parts.ranking)
        places = [(chunk.document, chunk.page) for chunk in found]
        return list(dict.fromkeys(places if parts.once else places[:limit]))

    def close(self) -> None:
        """Give everything back."""
        self._index.close()
        self._store.close()


@contextlib.contextmanager
def _without(fields: tuple[str, ...]) -> Iterator[None]:
    before = dict(WEIGHTS)
    WEIGHTS.update(dict.fromkeys(fields, 0.0))
    try:
        yield
    finally:
        WEIGHTS.update(before)
