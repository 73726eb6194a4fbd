"""How both halves of the index follow the store, which is the truth: what changed, and what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from api.errors import BackEndFailed, DocumentNotFound, EmbeddingMismatch
from api.index.lexical import Damaged, Entry, LexicalIndex
from api.index.values import VectorSet
from api.index.vector_store import VectorStore
from api.names import bare_name
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
    if lexical.seen > store.changes.last():
        lexical.clear()  # the database is an older one than the index has seen
    changes = store.changes.since(lexical.seen)
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
    for chunk_id, heading, text in store.chunks.texts(document.content_id):
        yield Entry(
            chunk_id=chunk_id,
            document_id=document_id,
            owner=document.collection_id,
            heading=heading,
            text=text,
            title=document.title,
            name=name,
            language=document.language,
        )


def name_in_words(document: Document) -> str:
    """A document's file name as it would be said."""
    return bare_name(document.name).replace("_", " ")


def words_that_differ(store: Store, lexical: LexicalIndex) -> str:
    """How the word index differs from the store, empty when it does not."""
    expected = Counter(store.chunks.ready())
    try:
        actual = lexical.counts()
    except Damaged as error:
        return error.detail
    if expected == actual:
        return ""
    return (
        f"The word index lacks {(expected - actual).total()} chunks "
        f"and holds {(actual - expected).total()} that the database does not have."
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """How one set of vectors differs from the store. `title` says whose it is; `drop`: nobody's, or damaged."""

    vectors: VectorSet
    title: str
    missing: tuple[int, ...]
    surplus: tuple[int, ...]
    drop: bool

    @property
    def text(self) -> str:
        """In words."""
        what = f"The vectors of collection {self.title!r} ({self.vectors.embedder})"
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
            yield replace(self, missing=some, surplus=(), drop=False)


def vector_differences(store: Store, vectors: VectorStore) -> list[Difference]:
    """Compare every set, by ids and by asking for some vectors that must be found."""
    owners = {VectorSet(*key): ids for key, ids in store.vectors.owners().items()}
    titles = store.collections.names([one.collection for one in owners])
    found = [
        Difference(one, one.collection, (), (), drop=True)
        for one in sorted(vectors.sets() - owners.keys(), key=str)
    ]
    for one, expected in owners.items():
        title = titles[one.collection]
        actual = vectors.ids(one)
        sample = sorted(expected & actual)
        if not _finds(store, vectors, one, sample[:: 1 + len(sample) // SAMPLE]):
            found.append(Difference(one, title, tuple(sorted(expected)), (), drop=True))
        elif actual != expected:
            missing, surplus = sorted(expected - actual), sorted(actual - expected)
            found.append(Difference(one, title, tuple(missing), tuple(surplus), drop=False))
    return found


def _finds(store: Store, vectors: VectorStore, where: VectorSet, sample: Sequence[int]) -> bool:
    ids, kept = store.vectors.of_chunks(sample, where.embedder)
    if not len(ids):
        return True
    try:
        answers = vectors.query(where, kept.astype(np.float32), 1)
    except (BackEndFailed, EmbeddingMismatch):
        return False
    return all(hits and hits[0].score > SAME for hits in answers)


def mend(store: Store, vectors: VectorStore, difference: Difference) -> None:
    """Take out what is too much and put in what the store has; idempotent."""
    where = difference.vectors
    if difference.drop:
        vectors.drop(where)
    if difference.surplus:
        vectors.delete(where, difference.surplus)
    if difference.missing:
        wanted = store.vectors.owned(where.collection, where.embedder, difference.missing)
        put(store, vectors, where, wanted)


def put(store: Store, vectors: VectorStore, where: VectorSet, chunk_ids: Sequence[int]) -> None:
    """Put the store's vectors of some chunks into a set."""
    ids, kept = store.vectors.of_chunks(chunk_ids, where.embedder)
    if len(ids):
        vectors.put(where, ids.tolist(), kept.astype(np.float32))
