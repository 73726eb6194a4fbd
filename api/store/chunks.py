"""Chunks: the pieces of a content that are searched and shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from api.store.database import Database, among
from api.store.tables import IN_COLLECTION, chunks, contents, documents, pages, vectors

OF_ITS_PAGE = and_(pages.c.content_id == chunks.c.content_id, pages.c.number == chunks.c.page)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one page, before it is stored."""

    ordinal: int
    page: int
    heading: str
    text: str
    tokens: int


class StoredChunk(NamedTuple):
    """A chunk with the document it was found in."""

    id: int
    document_id: str
    document: str
    ordinal: int
    page: int
    heading: str
    text: str
    tokens: int
    label: str
    """What the page is called where that is no number."""
    title: str
    """Of the document, empty when it has none."""
    embedder: str
    """The version under which its vector stands."""
    language: str
    """Of the document, ISO 639-1, empty when it is not known."""


_OF_A_STORED_CHUNK = (
    chunks.c.id,
    documents.c.id,
    documents.c.name,
    chunks.c.ordinal,
    chunks.c.page,
    chunks.c.heading,
    chunks.c.text,
    chunks.c.tokens,
    func.coalesce(pages.c.label, ""),
    contents.c.title,
    documents.c.embedder,
    contents.c.language,
)


class Chunks:
    """Queries over chunks; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        content_id: str,
        batch: Sequence[Chunk],
        rows: npt.NDArray[np.float32],
        embedder: str,
        pages_done: int,
        texts: Sequence[bytes] | None = None,
    ) -> list[int]:
        """Keep embedded chunks with their vectors (shape (chunks, dimension), stored as float16); their ids."""
        with self._database.write() as connection:
            result = connection.execute(
                insert(chunks).returning(chunks.c.id, sort_by_parameter_order=True),
                [
                    {field.name: getattr(chunk, field.name) for field in fields(Chunk)}
                    | {"content_id": content_id}
                    for chunk in batch
                ],
            )
            ids = [row.id for row in result]
            put_vectors(connection, ids, rows, embedder, texts)
            connection.execute(
                update(contents).where(contents.c.id == content_id).values(pages_done=pages_done)
            )
            return ids

    def drop(self, content_id: str, embedder: str) -> None:
        """Forget the chunks, so that the content is cut anew for this embedding model."""
        with self._database.freeing() as connection:
            connection.execute(delete(chunks).where(chunks.c.content_id == content_id))
            connection.execute(
                update(contents)
                .where(contents.c.id == content_id)
                .values(embedder=embedder, pages_done=0)
            )

    def count(self, content_id: str) -> int:
        """How many are stored."""
        query = select(func.count()).select_from(chunks).where(chunks.c.content_id == content_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def of(self, content_id: str) -> list[Chunk]:
        """The chunks of a content, in order."""
        columns = [chunks.c[field.name] for field in fields(Chunk)]
        query = select(*columns).where(chunks.c.content_id == content_id).order_by(chunks.c.ordinal)
        with self._database.read() as connection:
            return [Chunk(**row) for row in connection.execute(query).mappings()]

    def ids(self, content_id: str) -> list[int]:
        """The ids of a content's chunks, in order."""
        query = (
            select(chunks.c.id).where(chunks.c.content_id == content_id).order_by(chunks.c.ordinal)
        )
        with self._database.read() as connection:
            return [row.id for row in connection.execute(query)]

    def texts(self, content_id: str) -> list[tuple[int, str, str]]:
        """(chunk id, heading, text) of a content, for the word index."""
        query = (
            select(chunks.c.id, chunks.c.heading, chunks.c.text)
            .where(chunks.c.content_id == content_id)
            .order_by(chunks.c.ordinal)
        )
        with self._database.read() as connection:
            return [(row.id, row.heading, row.text) for row in connection.execute(query)]

    def found(
        self,
        chunk_ids: Iterable[int],
        collections: Sequence[str],
        within: Sequence[str] | None = None,
    ) -> dict[int, StoredChunk]:
        """Chunks by id with the ready document that has them: one of `within` (ids; None: any of the collections).

        Where several have them, it is that of the first collection.
        """
        if not collections:
            return {}
        query = (
            select(*_OF_A_STORED_CHUNK, documents.c.collection_id)
            .join(documents, documents.c.content_id == chunks.c.content_id)
            .join(contents, contents.c.id == chunks.c.content_id)
            .outerjoin(pages, OF_ITS_PAGE)
            .where(among(chunks.c.id, chunk_ids), *_ready(collections, within))
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        rank = {one: at for at, one in enumerate(collections)}
        rows = sorted(rows, key=lambda row: rank[row[-1]], reverse=True)
        return {row[0]: StoredChunk(*row[:-1]) for row in rows}

    def ready(self) -> dict[int, int]:
        """Every chunk that can be found, and by how many documents."""
        query = (
            select(chunks.c.id, func.count())
            .join(documents, documents.c.content_id == chunks.c.content_id)
            .where(documents.c.status == "ready")
            .group_by(chunks.c.id)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def _ready(collections: Sequence[str], within: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """That a document is ready, and one of `within` (ids; None: any of the collections)."""
    wanted = [documents.c.status == "ready", among(IN_COLLECTION, collections)]
    return wanted if within is None else [*wanted, among(documents.c.id.concat(""), within)]


def put_vectors(
    connection: Connection,
    ids: Sequence[int],
    rows: npt.NDArray[np.float32],
    embedder: str,
    texts: Sequence[bytes] | None = None,
) -> None:
    """Keep the vectors of chunks by one version of an embedder, with the hashes of the texts that were embedded."""
    hashes: Sequence[bytes | None] = texts or [None] * len(ids)
    values: list[dict[str, Any]] = [
        {"chunk_id": chunk_id, "embedder": embedder, "vector": row.tobytes(), "text": text}
        for chunk_id, row, text in zip(ids, rows.astype(np.float16), hashes, strict=True)
    ]
    connection.execute(insert(vectors), values)
