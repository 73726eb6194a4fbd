"""How both halves of the index follow the store, which is the truth: what changed, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from api.errors import BackEndFailed, DocumentNotFound, EmbeddingMismatch
from api.index.lexical import Damaged, Entry, LexicalIndex, owner_of
from api.index.values import Collection
from api.index.vector_store import VectorStore
from api.store import Store
from api.store.documents import Document

BATCH = 250
"""Vectors put at once: few enough to be kept well within the time that a server has to answer."""
SAMPLE = 50
"""Vectors of a collection that are asked for, to see that it is sound."""
SAME = 0.99
"""Cosine of a vector with itself, less what rounding takes."""


def follow_words(store: Store, lexical: LexicalIndex) -> None:
    """Bring the word index to the last change of the store."""
    if lexical.seen > store.index_source.last_change():
        lexical.clear()  # the database is an older one than the index has seen
    changes = store.index_source.changes(lexical.seen)
    if not changes:
        return
    changed = {change.document_id: change.kind for change in changes}
    come = (
        entry
        for document_id, kind in changed.items()
        if kind == "put"
        for entry in _entries(store, document_id)
    )
    lexical.follow(changes[-1].number, changed, come)


def _entries(store: Store, document_id: str) -> Iterator[Entry]:
    try:
        document = store.documents.get(document_id)
    except DocumentNotFound:
        return  # deleted since; that change comes later
    name = name_in_words(document)
    for chunk_id, heading, text in store.index_source.texts_of(document_id):
        words = f"{name} {document.title} {heading}"
        yield Entry(chunk_id, document_id, owner_of(document.model), words, text)


def name_in_words(document: Document) -> str:
    """A document's file name as it would be said."""
    return document.name.removesuffix(".pdf").replace("_", " ")


def words_that_differ(store: Store, lexical: LexicalIndex) -> str:
    """How the word index differs from the store, empty when it does not."""
    expected = store.index_source.ready_chunk_ids()
    try:
        actual = lexical.ids()
    except Damaged as error:
        return error.detail
    if expected == actual:
        return ""
    return (
        f"The word index lacks {len(expected - actual)} chunks "
        f"and holds {len(actual - expected)} that the database does not have."
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """How one collection of vectors differs from the store. `drop`: it is nobody's, or damaged."""

    collection: Collection
    missing: tuple[int, ...]
    surplus: tuple[int, ...]
    drop: bool

    @property
    def text(self) -> str:
        """In words."""
        model = f"model {self.collection.model!r}" if self.collection.model else "all models"
        what = f"The vectors of {model} ({self.collection.embedder})"
        if self.drop:
            return f"{what} are damaged or belong to no document."
        return (
            f"{what} lack {len(self.missing)} chunks "
            f"and hold {len(self.surplus)} that the database does not have."
        )

    def surplus_only(self) -> Difference:
        """What is too much, without what is missing."""
        return replace(self, missing=())

    def missing_only(self) -> Iterator[Difference]:
        """What is missing, in small pieces."""
        for start in range(0, len(self.missing), BATCH):
            some = self.missing[start : start + BATCH]
            yield Difference(self.collection, some, (), drop=False)


def vector_differences(store: Store, vectors: VectorStore) -> list[Difference]:
    """Compare every collection, by ids and by asking for some vectors that must be found."""
    owners = {Collection(*key): ids for key, ids in store.index_source.vector_owners().items()}
    collections = vectors.collections()
    found = [
        Difference(one, (), (), drop=True) for one in sorted(collections - owners.keys(), key=str)
    ]
    for one, expected in owners.items():
        actual = vectors.ids(one)
        sample = sorted(expected & actual)
        if not _finds(store, vectors, one, sample[:: 1 + len(sample) // SAMPLE]):
            found.append(Difference(one, tuple(sorted(expected)), (), drop=True))
        elif actual != expected:
            missing, surplus = sorted(expected - actual), sorted(actual - expected)
            found.append(Difference(one, tuple(missing), tuple(surplus), drop=False))
    return found


def _finds(
    store: Store, vectors: VectorStore, collection: Collection, sample: Sequence[int]
) -> bool:
    ids, kept = store.index_source.vectors(sample)
    if not len(ids):
        return True
    try:
        answers = vectors.query(collection, kept.astype(np.float32), 1)
    except (BackEndFailed, EmbeddingMismatch):
        return False
    return all(hits and hits[0].score > SAME for hits in answers)


def mend(store: Store, vectors: VectorStore, difference: Difference) -> None:
    """Take out what is too much and put in what the store has; idempotent."""
    if difference.drop:
        vectors.drop(difference.collection)
    if difference.surplus:
        vectors.delete(difference.collection, difference.surplus)
    if difference.missing:
        ids, kept = store.index_source.vectors(difference.missing)
        if len(ids):
            vectors.put(difference.collection, ids.tolist(), kept.astype(np.float32))
