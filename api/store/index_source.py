"""What the search index is made from: chunk ids, texts, vectors, and the changes since it last looked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import Column, Select, and_, delete, func, select

from api.store.database import Database
from api.store.documents import batches
from api.store.tables import changes, chunks, documents

CHANGES_KEPT = 10_000
"""The newest changes, which a word index that was open lately may not have seen."""

_HOLDS_VECTORS = and_(documents.c.status.in_(("importing", "ready")), chunks.c.vector.is_not(None))


@dataclass(frozen=True, slots=True)
class Change:
    """A document became searchable (`put`) or stopped being it (`delete`)."""

    number: int
    kind: Literal["put", "delete"]
    document_id: str


class IndexSource:
    """Queries that the index follows the store with; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ready_chunk_ids(self, among: Sequence[int] | None = None) -> set[int]:
        """The ids of chunks (among some, else of all) whose document is ready."""
        query = select(chunks.c.id).join(documents).where(documents.c.status == "ready")
        with self._database.read() as connection:
            if among is None:
                return {row.id for row in connection.execute(query)}
            return {
                row.id
                for some in batches(list(among), 500)
                for row in connection.execute(query.where(chunks.c.id.in_(some)))
            }

    def texts_of(self, document_id: str) -> list[tuple[int, str, str]]:
        """(chunk id, heading, text) of a document, for the word index."""
        query = (
            select(chunks.c.id, chunks.c.heading, chunks.c.text)
            .where(chunks.c.document_id == document_id)
            .order_by(chunks.c.ordinal)
        )
        with self._database.read() as connection:
            return [(row.id, row.heading, row.text) for row in connection.execute(query)]

    def vectors_of(
        self, document_ids: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """Chunk ids of shape (n,) and vectors of shape (n, dimension) of some documents."""
        query = select(chunks.c.id, chunks.c.vector).where(chunks.c.vector.is_not(None))
        return self._vectors(query, chunks.c.document_id, document_ids)

    def vectors(
        self, chunk_ids: Sequence[int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """The same of some chunks; those whose document is being deleted are left out."""
        query = select(chunks.c.id, chunks.c.vector).join(documents).where(_HOLDS_VECTORS)
        return self._vectors(query, chunks.c.id, chunk_ids)

    def _vectors(
        self, query: Select[Any], column: Column[Any], wanted: Sequence[Any]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        identifiers: list[int] = []
        blobs: list[bytes] = []
        with self._database.read() as connection:
            for some in batches(list(wanted), 500):
                for row in connection.execute(query.where(column.in_(some))):
                    identifiers.append(row.id)
                    blobs.append(row.vector)
        matrix = np.frombuffer(b"".join(blobs), dtype=np.float16)
        return np.array(identifiers, dtype=np.int64), matrix.reshape(len(blobs), -1 if blobs else 0)

    def vector_owners(self) -> dict[tuple[str, str], set[int]]:
        """By model and embedder the ids of all chunks that have a vector and are not being deleted."""
        query = (
            select(chunks.c.id, documents.c.model, documents.c.embedder)
            .join(documents)
            .where(_HOLDS_VECTORS)
        )
        owners: dict[tuple[str, str], set[int]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                owners.setdefault((row.model, row.embedder), set()).add(row.id)
        return owners

    def changes(self, after: int) -> list[Change]:
        """What became or stopped being searchable since a change number, oldest first."""
        query = select(changes).where(changes.c.number > after).order_by(changes.c.number)
        with self._database.read() as connection:
            return [
                Change(row.number, row.kind, row.document_id) for row in connection.execute(query)
            ]

    def forget_old_changes(self, kept: int = CHANGES_KEPT) -> None:
        """Forget changes of documents that are gone, but for the newest of all changes.

        Those of living documents stay: a word index that begins anew is made from them. One that has
        not seen a forgotten change differs from the store, and is repaired.
        """
        newest = select(func.max(changes.c.number)).scalar_subquery()
        with self._database.write() as connection:
            connection.execute(
                delete(changes).where(
                    changes.c.number <= newest - kept,
                    changes.c.document_id.not_in(select(documents.c.id)),
                )
            )

    def last_change(self) -> int:
        """The number of the newest change, 0 when there is none."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(changes.c.number))).scalar() or 0
