"""Documents, their pages, chunks and vectors.

A document is `importing`, then `ready` or `failed`; `deleting` from the moment it is deleted until
its vectors are gone. Only `ready` ones are listed or searched. An empty model means: for all models;
model names are kept as `names.model_key` writes them.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    delete,
    func,
    insert,
    select,
    update,
)

from api.errors import DocumentNotFound, NameTaken
from api.names import document_key, model_key
from api.store.database import Database
from api.store.tables import LIVE, changes, chunks, documents, pages

DocumentStatus = Literal["importing", "ready", "failed", "deleting"]


@dataclass(frozen=True, slots=True)
class Document:
    """One imported file."""

    id: str
    name: str
    model: str
    sha256: str
    size_bytes: int
    status: DocumentStatus
    error: dict[str, Any] | None
    title: str
    pages_total: int
    pages_done: int
    pages_unreadable: list[int]
    embedder: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Page:
    """The text of one page; the first page is number 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one page, before it is stored."""

    ordinal: int
    page: int
    heading: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with the document it belongs to."""

    id: int
    document_id: str
    document: str
    ordinal: int
    page: int
    heading: str
    text: str
    tokens: int


class Documents:
    """Queries over documents; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Coming

    def add(self, name: str, model: str, sha256: str, size_bytes: int) -> tuple[Document, bool]:
        """A new document being imported, or the live one with the same bytes and False.

        `errors.NameTaken` when other bytes have that name. An earlier failure under the name makes room.
        """
        model = model_key(model)
        with self._database.write() as connection:
            mine = documents.c.model == model
            live = documents.c.status.in_(("importing", "ready"))
            same = select(documents).where(mine, live, documents.c.sha256 == sha256)
            if row := connection.execute(same).mappings().first():
                return _document(row), False
            named = documents.c.name_key == document_key(name)
            if connection.execute(select(documents.c.id).where(mine, live, named)).first():
                raise NameTaken(
                    f"Another document is named {name!r} already. "
                    "Delete it first, or import this one under another file name."
                )
            connection.execute(delete(documents).where(mine, named, documents.c.status == "failed"))
            identifier = f"doc_{secrets.token_hex(8)}"
            connection.execute(
                insert(documents).values(
                    id=identifier,
                    name=name,
                    name_key=document_key(name),
                    model=model,
                    sha256=sha256,
                    size_bytes=size_bytes,
                    status="importing",
                    created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                )
            )
            return _one(connection, identifier), True

    def set_pages(
        self, document_id: str, texts: Sequence[Page], title: str, unreadable: Sequence[int]
    ) -> None:
        """Keep the extracted text, in place of an earlier one."""
        with self._database.write() as connection:
            connection.execute(delete(pages).where(pages.c.document_id == document_id))
            connection.execute(delete(chunks).where(chunks.c.document_id == document_id))
            connection.execute(
                insert(pages),
                [{"document_id": document_id, "number": p.number, "text": p.text} for p in texts],
            )
            self._set(
                connection,
                document_id,
                title=title,
                pages_total=len(texts) + len(unreadable),
                pages_done=0,
                pages_unreadable=list(unreadable),
            )

    def add_chunks(
        self,
        document_id: str,
        batch: Sequence[Chunk],
        vectors: npt.NDArray[np.float32],
        embedder: str,
        pages_done: int,
    ) -> list[int]:
        """Keep embedded chunks (vectors of shape (chunks, dimension), stored as float16); returns their ids."""
        half = vectors.astype(np.float16)
        with self._database.write() as connection:
            result = connection.execute(
                insert(chunks).returning(chunks.c.id, sort_by_parameter_order=True),
                [
                    {
                        "document_id": document_id,
                        "ordinal": chunk.ordinal,
                        "page": chunk.page,
                        "heading": chunk.heading,
                        "text": chunk.text,
                        "tokens": chunk.tokens,
                        "vector": vector.tobytes(),
                    }
                    for chunk, vector in zip(batch, half, strict=True)
                ],
            )
            identifiers = [row.id for row in result]
            self._set(connection, document_id, embedder=embedder, pages_done=pages_done)
            return identifiers

    def drop_chunks(self, document_id: str) -> None:
        """Forget the chunks, so that the import begins anew with its pages."""
        with self._database.freeing() as connection:
            connection.execute(delete(chunks).where(chunks.c.document_id == document_id))
            self._set(connection, document_id, embedder="", pages_done=0)

    def mark_ready(self, document_id: str) -> Document:
        """From now on it is listed and searched; `errors.DocumentNotFound` when it was deleted meanwhile."""
        with self._database.write() as connection:
            if _one(connection, document_id).status == "importing":
                self._set(
                    connection, document_id, status="ready", pages_done=documents.c.pages_total
                )
                connection.execute(insert(changes).values(kind="put", document_id=document_id))
            return _one(connection, document_id)

    def mark_failed(self, document_id: str, error: dict[str, Any]) -> None:
        """Keep why it failed; its pages and chunks go. One that was deleted meanwhile stays so."""
        with self._database.write() as connection:
            _one(connection, document_id)
            connection.execute(delete(pages).where(pages.c.document_id == document_id))
            connection.execute(delete(chunks).where(chunks.c.document_id == document_id))
            self._set(connection, document_id, status="failed", error=error)

    # Going

    def mark_deleting(self, document_ids: Iterable[str]) -> None:
        """From now on they are neither listed nor searched."""
        wanted = list(document_ids)
        if not wanted:
            return
        with self._database.freeing() as connection:
            connection.execute(
                update(documents).where(documents.c.id.in_(wanted)).values(status="deleting")
            )
            connection.execute(
                insert(changes), [{"kind": "delete", "document_id": one} for one in wanted]
            )

    def remove(self, document_id: str) -> None:
        """Forget the document with pages, chunks and vectors."""
        with self._database.freeing() as connection:
            connection.execute(delete(documents).where(documents.c.id == document_id))

    # Looking

    def get(self, document_id: str) -> Document:
        """By id; `errors.DocumentNotFound`. One that is being deleted is not there."""
        with self._database.read() as connection:
            return _one(connection, document_id)

    def all(self, *statuses: DocumentStatus) -> list[Document]:
        """Every document in one of these states, oldest first; without any: all."""
        query = select(documents).order_by(documents.c.created_at, documents.c.id)
        if statuses:
            query = query.where(documents.c.status.in_(statuses))
        with self._database.read() as connection:
            return [_document(row) for row in connection.execute(query).mappings()]

    def of_model(self, model: str) -> list[Document]:
        """The ready documents a model can be asked about (its own and those for all), by name."""
        with self._database.read() as connection:
            rows = connection.execute(_ready_for(model).order_by(documents.c.name)).mappings()
            return [_document(row) for row in rows]

    def find(self, model: str, names_or_ids: Sequence[str]) -> list[Document]:
        """Ready documents of the model by name (with or without `.pdf`) or id.

        `errors.DocumentNotFound` names the missing and those there are.
        """
        known = self.of_model(model)
        by_name = {document.id: document for document in known}
        # the model's own document wins over one for all models
        by_name |= {document_key(d.name): d for d in sorted(known, key=lambda d: d.model != "")}
        found = [by_name.get(name) or by_name.get(document_key(name)) for name in names_or_ids]
        missing = [name for name, document in zip(names_or_ids, found, strict=True) if not document]
        if missing:
            raise DocumentNotFound(
                f"No document {', '.join(map(repr, missing))} for model {model!r}. "
                f"Documents: {', '.join(d.name for d in known) or 'none'}.",
                missing=missing,
                documents=[document.name for document in known],
            )
        return list({document.id: document for document in found if document}.values())

    def pages(self, document_id: str) -> list[Page]:
        """All pages with text, in order."""
        query = select(pages).where(pages.c.document_id == document_id).order_by(pages.c.number)
        with self._database.read() as connection:
            return [Page(row.number, row.text) for row in connection.execute(query)]

    def any_of(self, model: str) -> list[Document]:
        """What can be deleted for a model, its own and those for all, whatever came of it; oldest first."""
        key = model_key(model)
        return [one for one in self.all("importing", "ready", "failed") if one.model in (key, "")]

    def has_live(self, model: str) -> bool:
        """Whether some document with just this owner is being imported or ready."""
        query = select(documents.c.id).where(documents.c.model == model, LIVE).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def page_texts(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """The text of some pages, by (document id, page number)."""
        texts = {}
        with self._database.read() as connection:
            for document_id, number in set(wanted):
                query = select(pages.c.text).where(
                    pages.c.document_id == document_id, pages.c.number == number
                )
                if (text := connection.execute(query).scalar()) is not None:
                    texts[document_id, number] = text
        return texts

    def chunk_count(self, document_id: str) -> int:
        """How many chunks are stored."""
        query = select(func.count()).select_from(chunks).where(chunks.c.document_id == document_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def chunks_of(self, document_id: str) -> list[Chunk]:
        """Its chunks, in order."""
        columns = [chunks.c[field.name] for field in fields(Chunk)]
        query = (
            select(*columns).where(chunks.c.document_id == document_id).order_by(chunks.c.ordinal)
        )
        with self._database.read() as connection:
            return [Chunk(**row) for row in connection.execute(query).mappings()]

    def chunk_ids(self, document_id: str) -> list[int]:
        """The ids of its chunks, in order."""
        query = (
            select(chunks.c.id)
            .where(chunks.c.document_id == document_id)
            .order_by(chunks.c.ordinal)
        )
        with self._database.read() as connection:
            return [row.id for row in connection.execute(query)]

    def chunks(self, chunk_ids: Iterable[int]) -> dict[int, StoredChunk]:
        """Chunks by id; those whose document is not ready are left out."""
        columns = [c for c in chunks.c if c is not chunks.c.vector]
        found = {}
        with self._database.read() as connection:
            for some in batches(list(chunk_ids), 500):
                query = (
                    select(*columns, documents.c.name.label("document"))
                    .join(documents)
                    .where(chunks.c.id.in_(some), documents.c.status == "ready")
                )
                for row in connection.execute(query).mappings():
                    found[row["id"]] = StoredChunk(**row)
        return found

    @staticmethod
    def _set(connection: Connection, document_id: str, **values: Any) -> None:
        connection.execute(update(documents).where(documents.c.id == document_id).values(**values))


def _ready_for(model: str) -> Select[Any]:
    return select(documents).where(
        documents.c.status == "ready", documents.c.model.in_((model_key(model), ""))
    )


def _one(connection: Connection, document_id: str) -> Document:
    query = select(documents).where(documents.c.id == document_id, documents.c.status != "deleting")
    row = connection.execute(query).mappings().first()
    if row is None:
        raise DocumentNotFound(f"No document {document_id!r}.")
    return _document(row)


def _document(row: RowMapping) -> Document:
    return Document(**{name: value for name, value in row.items() if name != "name_key"})


def batches(values: list[Any], size: int) -> Iterator[list[Any]]:
    """The values in lists that fit into one query."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
