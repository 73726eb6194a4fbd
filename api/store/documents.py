"""Documents: contents under a name in a collection.

A document is `importing`, then `ready` or `failed`; `deleting` from the moment it is deleted until its vectors are
gone. Only `ready` ones are listed or searched. Its content (the bytes, by their hash, as one embedding model reads
them) is shared with the documents of other collections, and goes with the last of them.
"""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from api.errors import NameTaken
from api.names import document_key
from api.store.collections import Collection, drop_emptied, mark_deleting, require_found
from api.store.contents import empty_unless_needed, live_content
from api.store.database import batches
from api.store.document_lookup import DocumentLookup
from api.store.document_rows import (
    Document,
    DocumentStatus,
    document_of,
    in_collection,
    one_document,
)
from api.store.tables import IS_LIVE, changes, contents, documents

__all__ = ["Added", "Document", "DocumentStatus", "Documents"]


class Added(NamedTuple):
    """What `Documents.add` made: nothing, a document over a content that is there, or both."""

    document: Document
    is_new: bool
    has_new_content: bool


class Documents(DocumentLookup):
    """How documents come and go, and what is asked about them; each method is one transaction."""

    def add(
        self,
        name: str,
        collection: Collection,
        sha256: str,
        size_bytes: int,
        embedder: str,
        kind: str = "pdf",
    ) -> Added:
        """A document being imported, or the collection's live one with the same bytes.

        Its content is one that another live document has for this embedding model, or a new one, which gets the
        document's id. `errors.NameTaken` when other bytes have that name here. An earlier failure under the name
        makes room. `errors.CollectionNotFound` when the collection was deleted.
        """
        with self._database.write() as connection:
            require_found(connection, collection.id)
            same = in_collection(collection.id).where(IS_LIVE, contents.c.sha256 == sha256)
            if row := connection.execute(same).mappings().first():
                return Added(document_of(row), False, False)
            _make_room(connection, collection, name)
            identifier = f"doc_{secrets.token_hex(8)}"
            content_id = live_content(connection, sha256, embedder, kind)
            is_new = content_id is None
            if is_new:
                connection.execute(
                    insert(contents).values(
                        id=identifier,
                        sha256=sha256,
                        size_bytes=size_bytes,
                        embedder=embedder,
                        kind=kind,
                    )
                )
            connection.execute(
                insert(documents).values(
                    id=identifier,
                    collection_id=collection.id,
                    content_id=content_id or identifier,
                    name=name,
                    name_key=document_key(name),
                    status="importing",
                    created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                )
            )
            return Added(one_document(connection, identifier), True, is_new)

    def mark_placed(self, document_id: str, embedder: str) -> None:
        """From now on its vectors are wanted in the index."""
        with self._database.write() as connection:
            _set(connection, document_id, embedder=embedder)

    def mark_taken_out(self, document_id: str) -> None:
        """From now on its vectors are not wanted in the index any more."""
        with self._database.freeing() as connection:
            _set(connection, document_id, embedder="")

    def mark_ready(self, document_id: str) -> Document:
        """From now on it is listed and searched; `errors.DocumentNotFound` when it was deleted meanwhile."""
        with self._database.write() as connection:
            document = one_document(connection, document_id)
            if document.status == "importing":
                _set(connection, document_id, status="ready")
                whole = {"pages_done": contents.c.pages_total}
                mine = contents.c.id == document.content_id
                connection.execute(update(contents).where(mine).values(**whole))
                connection.execute(insert(changes).values(kind="put", document_id=document_id))
            return one_document(connection, document_id)

    def mark_failed(self, document_id: str, error: dict[str, Any]) -> None:
        """Keep why it failed; pages and chunks that nobody else needs go. One deleted meanwhile stays so."""
        with self._database.write() as connection:
            content_id = one_document(connection, document_id).content_id
            _set(connection, document_id, status="failed", error=error, embedder="")
            empty_unless_needed(connection, content_id)

    def mark_deleting(self, document_ids: Iterable[str]) -> None:
        """From now on they are neither listed nor searched."""
        with self._database.freeing() as connection:
            _mark_deleting(connection, list(document_ids))

    def mark_collection_deleting(self, collection: Collection) -> list[Document]:
        """The same for a collection and all that stands in it, which is returned."""
        with self._database.freeing() as connection:
            rows = connection.execute(in_collection(collection.id)).mappings()
            found = [document_of(row) for row in rows]
            _mark_deleting(connection, [one.id for one in found])
            mark_deleting(connection, collection.id)
        return found

    def remove(self, document_id: str) -> None:
        """Forget the document, its content with the last document that needs it, and an emptied collection."""
        with self._database.freeing() as connection:
            _remove(connection, document_id)


def _make_room(connection: Connection, collection: Collection, name: str) -> None:
    """For a document of that name: failed ones go, a live one is in the way."""
    named = in_collection(collection.id).where(documents.c.name_key == document_key(name))
    found = [document_of(row) for row in connection.execute(named).mappings()]
    if any(one.status != "failed" for one in found):
        raise NameTaken(
            f"Another document is named {name!r} already. "
            "Delete it first, or import this one under another file name."
        )
    for one in found:
        _remove(connection, one.id)


def _set(connection: Connection, document_id: str, **values: Any) -> None:
    connection.execute(update(documents).where(documents.c.id == document_id).values(**values))


def _mark_deleting(connection: Connection, document_ids: list[str]) -> None:
    for wanted in batches(document_ids, 500):
        mine = documents.c.id.in_(wanted)
        connection.execute(update(documents).where(mine).values(status="deleting"))
        gone = [{"kind": "delete", "document_id": one} for one in wanted]
        connection.execute(insert(changes), gone)


def _remove(connection: Connection, document_id: str) -> None:
    mine = documents.c.id == document_id
    row = connection.execute(select(documents.c.content_id).where(mine)).first()
    if row is None:
        return
    connection.execute(delete(documents).where(mine))
    empty_unless_needed(connection, row.content_id)
    left = select(documents.c.id).where(documents.c.content_id == row.content_id)
    if connection.execute(left.limit(1)).first() is None:
        connection.execute(delete(contents).where(contents.c.id == row.content_id))
    drop_emptied(connection)
