"""Documents as they are read: a row of theirs with its content and the name of its collection."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, Select, select

from api.errors import DocumentNotFound, NotReady
from api.names import FOR_ALL
from api.store.collections import Scope
from api.store.tables import collections, contents, documents, seen_by

DocumentStatus = Literal["importing", "ready", "failed", "deleting", "embedding", "standby"]


@dataclass(frozen=True, slots=True)
class Document:
    """One file in one collection.

    `embedder` is the version under which its vectors stand, empty until they do; `collection_embedder` the embedding
    model that its collection has; `replaces` the id of the document whose place it is to take, empty for one that
    stands by itself.
    """

    id: str
    name: str
    collection_id: str
    collection: str
    collection_embedder: str
    content_id: str
    sha256: str
    size_bytes: int
    status: DocumentStatus
    error: dict[str, Any] | None
    title: str
    pages_total: int
    pages_done: int
    pages_unreadable: list[int]
    notices: list[dict[str, Any]]
    kind: str
    language: str
    embedder: str
    created_at: str
    replaces: str
    workspace: str

    @property
    def is_for_all(self) -> bool:
        """Whether every model can be asked about it."""
        return self.collection == FOR_ALL


_OF_DOCUMENT = (
    "id",
    "name",
    "collection_id",
    "content_id",
    "status",
    "error",
    "embedder",
    "replaces",
    "workspace",
)
_OF_CONTENT = (
    "sha256",
    "size_bytes",
    "title",
    "pages_total",
    "pages_done",
    "pages_unreadable",
    "notices",
    "kind",
    "language",
)


def select_documents() -> Select[Any]:
    """Every document, with its content and its collection."""
    return (
        select(
            *(documents.c[name] for name in (*_OF_DOCUMENT, "created_at")),
            *(contents.c[name] for name in _OF_CONTENT),
            collections.c.name.label("collection"),
            collections.c.embedder.label("collection_embedder"),
        )
        .join(contents, contents.c.id == documents.c.content_id)
        .join(collections, collections.c.id == documents.c.collection_id)
    )


def in_collection(collection_id: str) -> Select[Any]:
    """All documents in one collection but those that are being deleted."""
    return select_documents().where(
        documents.c.collection_id == collection_id, documents.c.status != "deleting"
    )


def in_scope(scope: Scope) -> Select[Any]:
    """All documents there, whatever came of them."""
    return select_documents().where(documents.c.collection_id.in_(scope.ids))


def ready_in_scope(scope: Scope) -> Select[Any]:
    """The documents there that can be searched."""
    return in_scope(scope).where(documents.c.status == "ready")


def one_document(
    connection: Connection, document_id: str, workspace: str | None = None
) -> Document:
    """By id; `errors.DocumentNotFound`, also for what the workspace does not see, and for one that is being deleted."""
    query = select_documents().where(
        documents.c.id == document_id,
        documents.c.status != "deleting",
        seen_by(collections, workspace),
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise DocumentNotFound(f"No document {document_id!r}.")
    return document_of(row)


def document_of(row: RowMapping) -> Document:
    """The value of a row."""
    return Document(**{field.name: row[field.name] for field in fields(Document)})


def still_importing(document: Document) -> NotReady:
    """Why it cannot be asked about yet, and how far it is."""
    done, total = document.pages_done, document.pages_total
    far = f", page {done} of {total}" if total else ""
    return NotReady(
        f"The document {document.name!r} is still being imported{far}. "
        f"`GET /documents/{document.id}` says when it is ready.",
        document_id=document.id,
        pages_done=done,
        pages_total=total,
    )
