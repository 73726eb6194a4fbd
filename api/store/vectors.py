"""Vectors of chunks, float16, by the version of the embedder that made them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Select, delete, select, update

from api.store.chunks import Chunk, put_vectors
from api.store.database import Database, among, batches
from api.store.tables import IN_COLLECTION, IS_KEPT, chunks, documents, vectors

Ids = npt.NDArray[np.int64]
"""Shape (n,)."""
Halves = npt.NDArray[np.float16]
"""Shape (n, dimension)."""
Block = tuple[Ids, Halves]
"""Chunk ids and their vectors."""


class Vectors:
    """Queries over vectors; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self,
        ids: Sequence[int],
        rows: npt.NDArray[np.float32],
        embedder: str,
        texts: Sequence[bytes] | None = None,
    ) -> None:
        """Keep vectors of chunks that have none by this embedder yet, with the hashes of what was embedded."""
        with self._database.write() as connection:
            put_vectors(connection, ids, rows, embedder, texts)

    def of_texts(
        self, texts: Sequence[bytes], embedder: str
    ) -> dict[bytes, npt.NDArray[np.float16]]:
        """What this embedder has made of texts, by their hashes, as far as it is here."""
        query = select(vectors.c.text, vectors.c.vector).where(vectors.c.embedder == embedder)
        known: dict[bytes, npt.NDArray[np.float16]] = {}
        with self._database.read() as connection:
            for some in batches(list(texts), 500):
                for row in connection.execute(query.where(vectors.c.text.in_(some))):
                    known[row.text] = np.frombuffer(row.vector, dtype=np.float16)
        return known

    def lacking(self, content_id: str, embedder: str) -> list[tuple[int, Chunk]]:
        """The chunks of a content, with their ids, that this embedder has made no vector of."""
        made = select(vectors.c.chunk_id).where(
            vectors.c.chunk_id == chunks.c.id, vectors.c.embedder == embedder
        )
        query = (
            select(chunks)
            .where(chunks.c.content_id == content_id, ~made.exists())
            .order_by(chunks.c.ordinal)
        )
        with self._database.read() as connection:
            return [
                (row.id, Chunk(row.ordinal, row.page, row.heading, row.text, row.tokens))
                for row in connection.execute(query)
            ]

    def of_chunks(self, chunk_ids: Sequence[int], embedder: str) -> Block:
        """Ids and vectors of those of some chunks that have a vector by this embedder."""
        query = select(vectors.c.chunk_id, vectors.c.vector).where(
            vectors.c.embedder == embedder, among(vectors.c.chunk_id, chunk_ids)
        )
        with self._database.read() as connection:
            return _matrix(connection.execute(query).all())

    def blocks(
        self,
        embedder: str,
        size: int,
        *,
        collections: Sequence[str] = (),
        within: Sequence[str] | None = None,
    ) -> Iterator[Block]:
        """Ids and vectors of ready documents, up to `size` at a time: of those with the ids `within`, or of all
        in the collections. A chunk that several of them have comes once.
        """
        ready = select(documents.c.content_id).where(documents.c.status == "ready").distinct()
        query = select(vectors.c.chunk_id, vectors.c.vector).join(chunks)
        query = query.where(vectors.c.embedder == embedder)
        with self._database.read() as connection:
            if within is None:
                wanted = ready.where(documents.c.collection_id.in_(collections))
                yield from _blocks(connection, query.where(chunks.c.content_id.in_(wanted)), size)
                return
            found = {
                row.content_id
                for some in batches(list(within), 500)
                for row in connection.execute(ready.where(documents.c.id.in_(some)))
            }
            for some in batches(sorted(found), 500):
                yield from _blocks(connection, query.where(chunks.c.content_id.in_(some)), size)

    def sample(
        self,
        embedder: str,
        size: int,
        *,
        collections: Sequence[str] = (),
        within: Sequence[str] | None = None,
    ) -> Halves:
        """At most `size` vectors from all over the ready documents that `blocks` would go through."""
        ready = select(documents.c.content_id).where(documents.c.status == "ready")
        ready = (
            ready.where(documents.c.collection_id.in_(collections))
            if within is None
            else ready.where(documents.c.id.in_(within[:500]))
        )
        scattered = (chunks.c.id * 7919) % 10007
        query = (
            select(vectors.c.chunk_id, vectors.c.vector)
            .join(chunks)
            .where(vectors.c.embedder == embedder, chunks.c.content_id.in_(ready))
            .order_by(scattered)
            .limit(size)
        )
        with self._database.read() as connection:
            return _matrix(list(connection.execute(query)))[1]

    def owned(self, collection_id: str, embedder: str, chunk_ids: Sequence[int]) -> list[int]:
        """Those of the chunks that `owners` would name there."""
        query = _owned().where(IN_COLLECTION.in_([collection_id]), documents.c.embedder == embedder)
        with self._database.read() as connection:
            return [
                row.chunk_id
                for some in batches(list(chunk_ids), 500)
                for row in connection.execute(query.where(vectors.c.chunk_id.in_(some)))
            ]

    def owners(self) -> dict[tuple[str, str], set[int]]:
        """By collection id and embedder the ids of all chunks whose vectors stand there."""
        owners: dict[tuple[str, str], set[int]] = {}
        with self._database.read() as connection:
            for collection, embedder, chunk_id in connection.execute(_owned()):
                owners.setdefault((collection, embedder), set()).add(chunk_id)
        return owners

    def rename_embedder(self, old: str, new: str) -> bool:
        """Take what one version of an embedder has made as made by another; whether there was any."""
        by_both = select(vectors.c.chunk_id).where(vectors.c.embedder == new)
        with self._database.write() as connection:
            connection.execute(
                delete(vectors).where(vectors.c.embedder == old, vectors.c.chunk_id.in_(by_both))
            )
            renamed = [
                connection.execute(
                    update(table).where(table.c.embedder == old).values(embedder=new)
                ).rowcount
                for table in (vectors, documents)
            ]
            return any(renamed)


def _owned() -> Select[Any]:
    return (
        select(documents.c.collection_id, documents.c.embedder, vectors.c.chunk_id)
        .join(chunks, chunks.c.content_id == documents.c.content_id)
        .join(vectors, vectors.c.chunk_id == chunks.c.id)
        .where(IS_KEPT, documents.c.embedder == vectors.c.embedder)
        .where(~_hidden())
    )


def _hidden() -> ColumnElement[bool]:
    """What stands by beside a document with vectors by the same version: in one set with them it would be found."""
    answering = documents.alias()
    same = select(answering.c.id).where(
        answering.c.id == documents.c.replaces, answering.c.embedder == documents.c.embedder
    )
    return (documents.c.status == "standby") & same.exists()


def _blocks(connection: Connection, query: Select[Any], size: int) -> Iterator[Block]:
    for rows in connection.execute(query).partitions(size):
        yield _matrix(rows)


def _matrix(rows: Sequence[Any]) -> Block:
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float16)
    return ids, matrix.reshape(len(rows), -1 if rows else 0)
