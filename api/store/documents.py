"""Documents: contents under a name in a collection.

A document is `importing`, then `ready` or `failed`; `deleting` from the moment it is deleted until its vectors are
gone. Only `ready` ones are listed or searched. Its content (the bytes, by their hash, as one embedding model reads
them) is shared with the documents of other collections, and goes with the last of them.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, insert, or_, select, update

from api.errors import DocumentNotFound, NameTaken
from api.names import document_key, is_document_id
from api.store.collections import (
    Collection,
    Scope,
    drop_emptied,
    mark_deleting,
    require_found,
)
from api.store.contents import empty_unless_needed, live_content
from api.store.database import Database, batches
from api.store.document_rows import (
    Document,
    DocumentStatus,
    document_of,
    in_scope,
    one_document,
    ready_in_scope,
    select_documents,
)
from api.store.tables import IS_LIVE, changes, contents, documents

__all__ = ["Added", "Document", "DocumentStatus", "Documents"]

NAMES_SHOWN = 100
"""Documents that an error names."""


class Added(NamedTuple):
    """What `Documents.add` made: nothing, a document over a content that is there, or both."""

    document: Document
    is_new: bool
    has_new_content: bool


class Documents:
    """Queries over documents; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Coming

    def add(
        self, name: str, collection: Collection, sha256: str, size_bytes: int, embedder: str
    ) -> Added:
        """A document being imported, or the collection's live one with the same bytes.

        Its content is one that another live document has for this embedding model, or a new one, which gets the
        document's id. `errors.NameTaken` when other bytes have that name here. An earlier failure under the name
        makes room. `errors.CollectionNotFound` when the collection was deleted.
        """
        with self._database.write() as connection:
            require_found(connection, collection.id)
            here = documents.c.collection_id == collection.id
            same = select_documents().where(here, IS_LIVE, contents.c.sha256 == sha256)
            if row := connection.execute(same).mappings().first():
                return Added(document_of(row), False, False)
            named = documents.c.name_key == document_key(name)
            if connection.execute(select(documents.c.id).where(here, IS_LIVE, named)).first():
                raise NameTaken(
                    f"Another document is named {name!r} already. "
                    "Delete it first, or import this one under another file name."
                )
            failed = documents.c.status == "failed"
            for (other,) in connection.execute(
                select(documents.c.id).where(here, named, failed)
            ).all():
                _remove(connection, other)
            identifier = f"doc_{secrets.token_hex(8)}"
            content_id = live_content(connection, sha256, embedder)
            is_new = content_id is None
            if content_id is None:
                content_id = identifier
                values = {"sha256": sha256, "size_bytes": size_bytes, "embedder": embedder}
                connection.execute(insert(contents).values(id=identifier, **values))
            connection.execute(
                insert(documents).values(
                    id=identifier,
                    collection_id=collection.id,
                    content_id=content_id,
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

    # Going

    def mark_deleting(self, document_ids: Iterable[str]) -> None:
        """From now on they are neither listed nor searched."""
        with self._database.freeing() as connection:
            _mark_deleting(connection, list(document_ids))

    def mark_collection_deleting(self, collection: Collection) -> list[Document]:
        """The same for a collection and all that stands in it, which is returned."""
        query = select_documents().where(
            documents.c.collection_id == collection.id, documents.c.status != "deleting"
        )
        with self._database.freeing() as connection:
            found = [document_of(row) for row in connection.execute(query).mappings()]
            _mark_deleting(connection, [one.id for one in found])
            mark_deleting(connection, collection.id)
        return found

    def remove(self, document_id: str) -> None:
        """Forget the document, its content with the last document that needs it, and an emptied collection."""
        with self._database.freeing() as connection:
            _remove(connection, document_id)

    # Looking

    def get(self, document_id: str) -> Document:
        """By id; `errors.DocumentNotFound`. One that is being deleted is not there."""
        with self._database.read() as connection:
            return one_document(connection, document_id)

    def all(self, *statuses: DocumentStatus) -> list[Document]:
        """Every document in one of these states, oldest first; without any: all."""
        query = select_documents().order_by(documents.c.created_at, documents.c.id)
        if statuses:
            query = query.where(documents.c.status.in_(statuses))
        return self._found(query)

    def ids(self) -> set[str]:
        """Every document that has not failed, one being deleted included."""
        query = select(documents.c.id).where(documents.c.status != "failed")
        with self._database.read() as connection:
            return {row.id for row in connection.execute(query)}

    def ready_in(
        self, scope: Scope, *, limit: int | None = None, after: str | None = None
    ) -> list[Document]:
        """The documents there that can be searched, by name; at most `limit`.

        With `after`, those behind the one of that id (`errors.DocumentNotFound`), or behind every one of that name,
        whether there is one or not.
        """
        query = ready_in_scope(scope).order_by(documents.c.name, documents.c.id).limit(limit)
        if after is not None:
            query = query.where(self._is_behind(scope, after))
        return self._found(query)

    def find(self, scope: Scope, names_or_ids: Sequence[str]) -> list[Document]:
        """Ready documents there by name (with or without `.pdf`) or id.

        `errors.DocumentNotFound` names the missing and those there are.
        """
        found = self._named(ready_in_scope(scope), scope, names_or_ids)
        if missing := [name for name, document in found.items() if document is None]:
            raise self._missing(scope, missing, ready_in_scope(scope))
        return list({document.id: document for document in found.values() if document}.values())

    def find_any(self, scope: Scope, name_or_id: str) -> Document:
        """One that can be deleted, by name or id, whatever came of it; `errors.DocumentNotFound`.

        A live one goes before a failed one.
        """
        query = in_scope(scope).where(documents.c.status != "deleting")
        if document := self._named(query, scope, [name_or_id])[name_or_id]:
            return document
        raise self._missing(scope, [name_or_id], query)

    def of(self, collection: Collection) -> list[Document]:
        """All in one collection that can be deleted, oldest first."""
        query = select_documents().where(
            documents.c.collection_id == collection.id, documents.c.status != "deleting"
        )
        return self._found(query.order_by(documents.c.created_at, documents.c.id))

    def of_content(self, content_id: str) -> list[Document]:
        """The live documents that have a content, oldest first."""
        query = select_documents().where(documents.c.content_id == content_id, IS_LIVE)
        return self._found(query.order_by(documents.c.created_at, documents.c.id))

    def has_live(self, collection_id: str) -> bool:
        """Whether some document of the collection is being imported or ready."""
        query = select(documents.c.id).where(documents.c.collection_id == collection_id, IS_LIVE)
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def shares_content(self, document: Document, within: str) -> bool:
        """Whether another live document of that collection has the same content."""
        query = select(documents.c.id).where(
            documents.c.collection_id == within,
            documents.c.content_id == document.content_id,
            documents.c.id != document.id,
            IS_LIVE,
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def filled(self, collection_ids: Sequence[str]) -> set[str]:
        """Those of the collections in which something is ready."""
        with self._database.read() as connection:
            return {
                one
                for one in collection_ids
                if connection.execute(
                    select(documents.c.id)
                    .where(documents.c.collection_id == one, documents.c.status == "ready")
                    .limit(1)
                ).first()
            }

    def embedders(self) -> set[str]:
        """The versions of every embedder under which something stands."""
        query = select(documents.c.embedder).where(IS_LIVE, documents.c.embedder != "").distinct()
        with self._database.read() as connection:
            return {row.embedder for row in connection.execute(query)}

    def embedded_otherwise(
        self, embedder: str, collection_ids: Sequence[str], within: Sequence[str] | None = None
    ) -> list[Document]:
        """Some ready documents of the collections (of these ids only) whose vectors are another version's."""
        query = select_documents().where(
            documents.c.status == "ready",
            documents.c.collection_id.in_(collection_ids),
            documents.c.embedder != embedder,
        )
        if within is not None:
            query = query.where(documents.c.id.in_(within))
        return self._found(query.order_by(documents.c.name).limit(NAMES_SHOWN))

    def _is_behind(self, scope: Scope, after: str) -> ColumnElement[bool]:
        if not is_document_id(after):
            return and_(documents.c.name > after, documents.c.name_key != document_key(after))
        found = self._found(ready_in_scope(scope).where(documents.c.id == after))
        if not found:
            raise DocumentNotFound(
                f"No document {after!r} for {scope.title} any more. Go on after the name that it had."
            )
        is_beside = and_(documents.c.name == found[0].name, documents.c.id > after)
        return or_(documents.c.name > found[0].name, is_beside)

    def _found(self, query: Select[Any]) -> list[Document]:
        with self._database.read() as connection:
            return [document_of(row) for row in connection.execute(query).mappings()]

    def _named(
        self, query: Select[Any], scope: Scope, names_or_ids: Sequence[str]
    ) -> dict[str, Document | None]:
        """Which document each name or id means: where several have it that of the first collection, a live one."""
        order = {one: at for at, one in enumerate(scope.ids)}
        found: list[Document] = []
        for some in batches(list(names_or_ids), 250):
            keys = [document_key(name) for name in some]
            named = or_(documents.c.id.in_(some), documents.c.name_key.in_(keys))
            found += self._found(query.where(named))
        found.sort(key=lambda one: (order[one.collection_id], one.status == "failed"), reverse=True)
        by_id = {one.id: one for one in found}
        by_key = {document_key(one.name): one for one in found}
        return {name: by_id.get(name) or by_key.get(document_key(name)) for name in names_or_ids}

    def _missing(
        self, scope: Scope, missing: Sequence[str], query: Select[Any]
    ) -> DocumentNotFound:
        known = self._found(query.order_by(documents.c.name).limit(NAMES_SHOWN))
        names = [document.name for document in known]
        return DocumentNotFound(
            f"No document {', '.join(map(repr, missing))} for {scope.title}. "
            f"Documents: {', '.join(names) or 'none'}.",
            missing=list(missing),
            documents=names,
        )


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
