"""Collections that are embedded anew: beside each document stands one that `replaces` it, with a content of its own.

Such a document is `embedding`, then `standby`; when each has one, all exchange their contents in one transaction. What
answered before is then standing by, until it is dropped, or exchanged once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update

from api.store.collections import Collection, require_found
from api.store.database import Database
from api.store.document_rows import Document, document_of, one_document, select_documents
from api.store.documents import mark_deleting, new_id
from api.store.replacements import exchange
from api.store.tables import (
    STANDS_ALONE,
    collections,
    contents,
    documents,
    pages,
    reembeddings,
)

STANDING_BY = documents.c.status.in_(("embedding", "standby"))


@dataclass(frozen=True, slots=True)
class Reembedding:
    """How far a collection is on its way to an embedding model, and which one answered, or answers until then.

    `running`, with an `error` while that keeps it waiting; `failed`, with the reason; `ready`: it has switched. The
    templates are what stands around a question and a passage, None for what is usual for the model.
    """

    collection_id: str
    embedder: str
    previous: str
    status: Literal["running", "failed", "ready"]
    reread: bool
    templates: Sequence[str] | None
    previous_templates: Sequence[str] | None
    error: dict[str, Any] | None
    started_at: str


class Reembeddings:
    """Queries over them; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        collection: Collection,
        embedder: str,
        previous: str,
        templates: Sequence[str] | None = None,
        *,
        reread: bool,
        keep: bool,
    ) -> tuple[Reembedding, list[Document]]:
        """From now on it is on its way; unless it is to `keep` what stands by, that is returned to be deleted."""
        query, passage = collection.query_template, collection.passage_template
        answering = None if query is None or passage is None else (query, passage)
        made = Reembedding(
            collection_id=collection.id,
            embedder=embedder,
            previous=previous,
            status="running",
            reread=reread,
            templates=templates,
            previous_templates=answering,
            error=None,
            started_at=_now(),
        )
        with self._database.write() as connection:
            require_found(connection, collection.id)
            given_up = [] if keep else _give_up(connection, collection.id)
            connection.execute(delete(reembeddings).where(_of(collection.id)))
            connection.execute(
                insert(reembeddings).values(
                    {one.name: getattr(made, one.name) for one in fields(made)}
                )
            )
        return made, given_up

    def find(self, collection_ids: Sequence[str]) -> dict[str, Reembedding]:
        """By the ids of collections."""
        return self._found(reembeddings.c.collection_id.in_(collection_ids))

    def running(self) -> list[str]:
        """The ids of the collections that are on their way."""
        return list(self._found(reembeddings.c.status == "running"))

    def tell(self, collection_id: str, status: str, error: dict[str, Any] | None) -> None:
        """Keep how it stands and what is in the way."""
        with self._database.write() as connection:
            connection.execute(
                update(reembeddings).where(_of(collection_id)).values(status=status, error=error)
            )

    def end(self, collection_id: str) -> list[Document]:
        """Forget it; what stands by is returned to be deleted."""
        with self._database.freeing() as connection:
            connection.execute(delete(reembeddings).where(_of(collection_id)))
            return _give_up(connection, collection_id)

    def next(self, one: Reembedding) -> Document | None:
        """A document beside which nothing stands by yet."""
        query = _lacking(one).order_by(documents.c.created_at, documents.c.id).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
            return document_of(row) if row else None

    def progress(self, one: Reembedding) -> tuple[int, int]:
        """How many documents are done, and of how many."""
        ready = select_documents().where(_ready(one.collection_id)).subquery()
        with self._database.read() as connection:
            total = connection.execute(select(func.count()).select_from(ready)).scalar_one()
            if one.status == "ready":
                return total, total
            lacking = _lacking(one).subquery()
            left = connection.execute(select(func.count()).select_from(lacking)).scalar_one()
            return total - left, total

    def beside(self, document: Document) -> list[Document]:
        """What is embedded beside a document, or stands by."""
        query = select_documents().where(documents.c.replaces == document.id, STANDING_BY)
        with self._database.read() as connection:
            return [document_of(row) for row in connection.execute(query).mappings()]

    def add_beside(
        self, document: Document, content_id: str, embedder: str, *, reread: bool
    ) -> Document:
        """One with a content of that id: the same file, and unless it is to be read again the same pages."""
        kept = ("workspace", "sha256", "size_bytes", "kind", "title", "language")
        read = ("pages_total", "pages_unreadable", "notices")
        copied = kept if reread else (*kept, *read)
        with self._database.write() as connection:
            found = one_document(connection, document.id)
            source = select(*(contents.c[name] for name in copied)).where(
                contents.c.id == found.content_id
            )
            values = dict(connection.execute(source).mappings().one())
            connection.execute(insert(contents).values(id=content_id, embedder=embedder, **values))
            if not reread:
                copy_pages(connection, found.content_id, content_id)
            identifier = new_id()
            connection.execute(
                insert(documents).values(
                    id=identifier,
                    workspace=found.workspace,
                    collection_id=found.collection_id,
                    content_id=content_id,
                    name=found.name,
                    name_key=select(documents.c.name_key)
                    .where(documents.c.id == found.id)
                    .scalar_subquery(),
                    status="embedding",
                    created_at=_now(),
                    replaces=found.id,
                )
            )
            return one_document(connection, identifier)

    def read_as_before(self, document: Document) -> None:
        """Give its content the pages of the document that it stands beside."""
        read = ("pages_total", "pages_unreadable", "notices")
        with self._database.write() as connection:
            source = one_document(connection, document.replaces).content_id
            found = select(*(contents.c[name] for name in read)).where(contents.c.id == source)
            values = dict(connection.execute(found).mappings().one())
            mine = contents.c.id == document.content_id
            connection.execute(update(contents).where(mine).values(**values))
            connection.execute(delete(pages).where(pages.c.content_id == document.content_id))
            copy_pages(connection, source, document.content_id)

    def stand_by(self, document_id: str, version: str) -> Document:
        """It is embedded by that version; `errors.DocumentNotFound` when it was given up meanwhile."""
        with self._database.write() as connection:
            one_document(connection, document_id)
            values = {"status": "standby", "embedder": version}
            connection.execute(
                update(documents).where(documents.c.id == document_id).values(**values)
            )
            return one_document(connection, document_id)

    def switch(self, one: Reembedding, query: str, passage: str) -> bool:
        """All at once, if nothing is lacking: documents and what stands by exchange their contents, and the collection
        has the other model with these templates.
        """
        with self._database.write() as connection:
            require_found(connection, one.collection_id)
            if connection.execute(_lacking(one).limit(1)).first() is not None:
                return False
            waiting = select_documents().where(
                documents.c.collection_id == one.collection_id, documents.c.status == "standby"
            )
            for row in connection.execute(waiting).mappings().all():
                exchange(connection, document_of(row), left_as="standby")
            mine = collections.c.id == one.collection_id
            used = {"query_template": query, "passage_template": passage}
            connection.execute(
                update(collections).where(mine).values(embedder=one.embedder, **used)
            )
            connection.execute(
                update(reembeddings)
                .where(_of(one.collection_id))
                .values(status="ready", error=None)
            )
            return True

    def keeps_its_version(self, one: Reembedding) -> bool:
        """Whether what answers and what stands by have vectors by one version, which stand in one set."""
        beside = documents.alias()
        same = (
            select(beside.c.id)
            .join(documents, documents.c.id == beside.c.replaces)
            .where(
                beside.c.collection_id == one.collection_id,
                beside.c.status == "standby",
                beside.c.embedder == documents.c.embedder,
            )
        )
        with self._database.read() as connection:
            return connection.execute(same.limit(1)).first() is not None

    def _found(self, which: ColumnElement[bool]) -> dict[str, Reembedding]:
        with self._database.read() as connection:
            rows = connection.execute(select(reembeddings).where(which)).mappings()
            return {row["collection_id"]: Reembedding(**row) for row in rows}


def copy_pages(connection: Connection, source: str, target: str) -> None:
    """Give a content the pages of another one."""
    names = [column.name for column in pages.columns]
    columns = [pages.c[name] for name in names if name != "content_id"]
    found = select(*columns).where(pages.c.content_id == source)
    rows = [dict(row) | {"content_id": target} for row in connection.execute(found).mappings()]
    if rows:
        connection.execute(insert(pages), rows)


def _of(collection_id: str) -> ColumnElement[bool]:
    return reembeddings.c.collection_id == collection_id


def _ready(collection_id: str) -> ColumnElement[bool]:
    mine = documents.c.collection_id == collection_id
    return mine & (documents.c.status == "ready") & STANDS_ALONE


def _lacking(one: Reembedding) -> Select[Any]:
    """Ready documents without one that stands by, has the same bytes and is embedded by what it is to be."""
    beside, content = documents.alias(), contents.alias()
    standing_by = (
        select(beside.c.id)
        .join(content, content.c.id == beside.c.content_id)
        .where(
            beside.c.replaces == documents.c.id,
            beside.c.status == "standby",
            content.c.sha256 == contents.c.sha256,
            content.c.embedder == one.embedder,
        )
    )
    return select_documents().where(_ready(one.collection_id), ~standing_by.exists())


def _give_up(connection: Connection, collection_id: str) -> list[Document]:
    found = select_documents().where(documents.c.collection_id == collection_id, STANDING_BY)
    given_up = [document_of(row) for row in connection.execute(found).mappings()]
    mark_deleting(connection, [one.id for one in given_up])
    return given_up


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
