"""The passages that fit a question best: what the index finds, fused into one order, and read from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from anyio.to_thread import run_sync

from api.errors import Unusable
from api.index import Candidates, Index, Wanted
from api.rag.fuse import Found, Ranked, fuse, is_alike, words_of
from api.rag.ranking import (
    USUAL,
    Place,
    Vector,
    Weights,
    beside_each_other,
    ends_with_sentence,
    placed,
)
from api.rag.vocabulary import related
from api.store import Store
from api.store.chunks import StoredChunk
from api.store.collections import Scope
from api.store.documents import Document

CANDIDATES = 200
"""Chunks of each side that are looked at: with 100, pages of long reports are missed (docs/retrieval.md)."""
SHORT = 100
"""Characters that any embedding model reads."""


class Hit(NamedTuple):
    """A passage, how well it fits (0..1), and which queries found it."""

    chunk_id: int
    document_id: str
    document: str
    page: int
    heading: str
    text: str
    score: float
    found_by: tuple[Found, ...]
    is_duplicate: bool = False
    """It says what a better hit says already."""
    label: str = ""
    """What the page is called where that is no number: a sheet, a slide's title, a section."""
    language: str = ""
    """Of the document, ISO 639-1, empty when it is not known."""

    @property
    def shown_text(self) -> str:
        """The text under its heading, as a model reads it."""
        return self.text if self.heading in self.text else f"{self.heading}\n{self.text}"


async def hits(
    index: Index,
    store: Store,
    scope: Scope,
    queries: Sequence[str],
    documents: Sequence[Document] | None,
    dense_weight: float,
) -> list[Hit]:
    """The passages of the documents (None: all in the scope) that fit, best first.

    The first query matters most. Only text that is ready in the store. What is replaced meanwhile is found before or
    after that.
    """
    searched = [Wanted(query, related(query)) for query in queries]

    def ordered(candidates: Sequence[Candidates]) -> list[Hit]:
        ranked = fuse(candidates, dense_weight)
        chunks, likeness = candidates[0].chunks, candidates[0].likeness
        return in_order(store, chunks, ranked, queries[0], likeness)

    async def search() -> list[Hit]:
        candidates = await _candidates(index, scope, searched, documents)
        return await run_sync(ordered, candidates)

    return await index.switching.steadily(scope.ids, search)


def in_order(
    store: Store,
    chunks: Mapping[int, StoredChunk],
    ranked: Sequence[Ranked],
    question: str,
    likeness: float,
    weights: Weights = USUAL,
) -> list[Hit]:
    """The chunks in the order that their places give them, each as it stands in the store."""
    places = {
        chunk_id: Place(
            chunk.document_id,
            f"{chunk.document} {chunk.title}",
            chunk.page,
            chunk.ordinal,
            ends_with_sentence(chunk.text),
        )
        for chunk_id, chunk in chunks.items()
    }
    vectors = _vectors(store, [chunks[one] for one in beside_each_other(ranked, places)])
    ordered = placed(ranked, places, vectors, question, likeness, weights)
    return [_hit(chunks[one.chunk_id], one) for one in ordered]


def _vectors(store: Store, chunks: Sequence[StoredChunk]) -> dict[int, Vector]:
    """The vectors of chunks, each by the embedder of its document."""
    vectors: dict[int, Vector] = {}
    for version in {chunk.embedder for chunk in chunks}:
        ids = [chunk.id for chunk in chunks if chunk.embedder == version]
        found, rows = store.vectors.of_chunks(ids, version)
        vectors |= zip(map(int, found), rows.astype(np.float32), strict=True)
    return vectors


def different(found: Sequence[Hit], limit: int) -> list[Hit]:
    """The best, until `limit` of them say different things. What says what a better one says already is marked, and of
    these no more than `limit` are told: hundreds of contracts may have one page in common.
    """
    best: list[Hit] = []
    kept: list[frozenset[str]] = []
    for hit in found:
        if len(kept) == limit:
            break
        words = words_of(hit.text)
        is_duplicate = any(is_alike(words, other) for other in kept)
        if not is_duplicate:
            kept.append(words)
        if not is_duplicate or len(best) - len(kept) < limit:
            best.append(hit._replace(is_duplicate=is_duplicate))
    return best


def pages(found: Sequence[Hit], limit: int) -> list[Hit]:
    """The best pages, each once, by its best passage."""
    best: dict[tuple[str, int], Hit] = {}
    for hit in found:
        best.setdefault((hit.document_id, hit.page), hit)
    return list(best.values())[:limit]


async def _candidates(
    index: Index, scope: Scope, wanted: Sequence[Wanted], documents: Sequence[Document] | None
) -> list[Candidates]:
    """What is found for each query, as far as the embedding model reads it: the beginning and the end of a long one.
    Tokens are counted only by who refuses it.
    """
    wanted = list(wanted)
    while True:
        try:
            return await index.candidates(scope, wanted, documents, CANDIDATES)
        except Unusable as error:
            number, tokens = error.extra.get("index"), error.extra.get("tokens")
            if number is None or tokens is None:
                raise
            if number >= len(
                wanted
            ):  # the related words of one, which are embedded behind the queries
                wanted = [replace(one, related="") for one in wanted]
                continue
            if len(wanted[number].query) <= SHORT:
                raise
            room = await index.embedder_of(scope.collections[0]).longest()
            shorter = _without_middle(wanted[number].query, min(1, room / tokens))
            wanted[number] = replace(wanted[number], query=shorter)


def _without_middle(query: str, share: float) -> str:
    half = int(len(query) * share * 0.45)
    return f"{query[:half]} {query[len(query) - half :]}"


def _hit(chunk: StoredChunk, ranked: Ranked) -> Hit:
    return Hit(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        document=chunk.document,
        page=chunk.page,
        heading=chunk.heading,
        text=chunk.text,
        score=ranked.score,
        found_by=ranked.found_by,
        label=chunk.label,
        language=chunk.language,
    )
