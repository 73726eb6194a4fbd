"""Documents: contents under a name in a collection.

A document is `importing`, then `ready` or `failed`; `deleting` from the moment it is deleted until its vectors are
gone. Only `ready` ones are listed or searched. One that `replaces` another is imported beside it and then gives it its
content (`replacements.py`); where a collection is embedded anew it is `embedding`, then `standby` (`reembeddings.py`).
A content (the bytes, by their hash, as one embedding model reads them) is shared with the documents of other
collections, and goes with the last of them.
"""

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from api.errors import NameTaken
from api.names import document_key
from api.store.collection_files import (
    attach_file,
    cancel_files,
    keep_failed_files,
    let_wait_again,
)
from api.store.collections import (
    Collection,
    drop_emptied,
    mark_collection_deleting,
    pin_embedder,
    require_found,
)
from api.store.contents import empty_unless_needed, live_content
from api.store.database import among, batches
from api.store.document_lookup import DocumentLookup
from api.store.document_rows import (
    Document,
    DocumentStatus,
    document_of,
    in_collection,
    one_document,
    select_documents,
)
from api.store.tables import changes, contents, documents

__all__ = ["Added", "Document", "DocumentStatus", "Documents"]


class Added(NamedTuple):
    """What `Documents.add` made: nothing, a document over a content that is there, or both; `given_up` are those
    that are being deleted now because of it.
    """

    document: Document
    is_new: bool
    has_new_content: bool
    given_up: Sequence[Document] = ()


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
        *,
        replace: bool = False,
        file_id: str = "",
    ) -> Added:
        """A document being imported, or the collection's live one with the same bytes.

        Its content is one that another live document of the workspace has for this embedding model, or a new one. A
        collection that has no embedding model yet has this one from now on. `errors.NameTaken` when other bytes have
        that name here; with `replace` it is to take the place of a document of that name that is ready, and of all
        else that was imported under it. An earlier failure under the name makes room. `file_id` is the file of the
        collection that becomes one with it. `errors.CollectionNotFound` when the collection was deleted.
        """
        with self._database.write() as connection:
            require_found(connection, collection.id)
            named = _of_name(connection, collection, name)
            if same := _of_bytes(connection, collection, sha256):
                if replace:
                    _require_name(same, named, name)
                earlier = [one for one in named if replace and _waits(one) and one.id != same.id]
                if file_id:
                    attach_file(connection, same, file_id, is_new=False)
                return Added(same, False, False, _give_up(connection, earlier))
            replaced = _make_room(connection, named, name, replace=replace)
            earlier = _give_up(connection, [one for one in named if one.status == "importing"])
            embedder = pin_embedder(connection, collection.id, embedder)
            workspace = collection.workspace
            identifier = new_id()
            content_id = live_content(connection, workspace, sha256, embedder, kind)
            is_new = content_id is None
            if content_id is None:
                content_id = new_id() if replaced else identifier
                values = {
                    "workspace": workspace,
                    "sha256": sha256,
                    "size_bytes": size_bytes,
                    "embedder": embedder,
                    "kind": kind,
                }
                connection.execute(insert(contents).values(id=content_id, **values))
            connection.execute(
                insert(documents).values(
                    id=identifier,
                    workspace=workspace,
                    collection_id=collection.id,
                    content_id=content_id,
                    name=name,
                    name_key=document_key(name),
                    status="importing",
                    created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                    replaces=replaced,
                )
            )
            made = one_document(connection, identifier)
            if file_id:
                attach_file(connection, made, file_id, is_new=True)
            return Added(made, True, is_new, earlier)

    def give_content(self, document_id: str, content_id: str, embedder: str) -> Document:
        """Another content of the same bytes, of which nothing is read yet, for another embedding model."""
        copied = ("workspace", "sha256", "size_bytes", "kind")
        with self._database.write() as connection:
            mine = contents.c.id == one_document(connection, document_id).content_id
            found = connection.execute(select(*(contents.c[name] for name in copied)).where(mine))
            values = dict(found.mappings().one())
            connection.execute(insert(contents).values(id=content_id, embedder=embedder, **values))
            _set(connection, document_id, content_id=content_id)
            return one_document(connection, document_id)

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

    def mark_deleting(self, document_ids: Iterable[str]) -> list[Document]:
        """From now on they are neither listed nor searched, nor does anything take their place; returns what was to."""
        with self._database.freeing() as connection:
            return mark_deleting(connection, list(document_ids))

    def cancel_files(self, collection_id: str, file_ids: Sequence[str]) -> list[Document]:
        """Those of these files of a collection that are on their way do not come. Marks the documents that they were
        becoming, unless another file is one with such a document too, and returns them.
        """
        with self._database.freeing() as connection:
            cancelled = cancel_files(connection, collection_id, file_ids)
            found = select_documents().where(among(documents.c.id, cancelled))
            gone = [document_of(row) for row in connection.execute(found).mappings()]
            return [*gone, *mark_deleting(connection, [one.id for one in gone])]

    def mark_collection_deleting(self, collection: Collection) -> list[Document]:
        """The same for a collection and all that stands in it, which is returned."""
        with self._database.freeing() as connection:
            rows = connection.execute(in_collection(collection.id)).mappings()
            found = [document_of(row) for row in rows]
            mark_deleting(connection, [one.id for one in found])
            mark_collection_deleting(connection, collection.id)
        return found

    def remove(self, document_id: str) -> None:
        """Forget the document, its content with the last document that needs it, and an emptied collection."""
        with self._database.freeing() as connection:
            _remove(connection, document_id)


def new_id() -> str:
    """For a document, or for a content that does not get that of the document which brought it."""
    return f"doc_{secrets.token_hex(8)}"


def _of_name(connection: Connection, collection: Collection, name: str) -> list[Document]:
    named = in_collection(collection.id).where(documents.c.name_key == document_key(name))
    return [document_of(row) for row in connection.execute(named).mappings()]


def _of_bytes(connection: Connection, collection: Collection, sha256: str) -> Document | None:
    """That stands by itself, or else is to take the place of another one."""
    same = in_collection(collection.id).where(
        documents.c.status.in_(("importing", "ready")), contents.c.sha256 == sha256
    )
    row = connection.execute(same.order_by(documents.c.replaces)).mappings().first()
    return document_of(row) if row else None


def _require_name(same: Document, named: Sequence[Document], name: str) -> None:
    if named and document_key(same.name) != document_key(name):
        raise NameTaken(
            f"{same.name!r} ({same.id}) has these bytes already: {name!r} stays as it is. Delete one of the two."
        )


def _make_room(
    connection: Connection, named: Sequence[Document], name: str, *, replace: bool
) -> str:
    """For a document of that name: failed ones go, a live one is in the way or is replaced; its id, if it is ready."""
    if not replace and any(one.status != "failed" for one in named):
        raise NameTaken(
            f"Another document is named {name!r} already. Say `replace=true` if this is a newer version of it; "
            "else delete it first, or import this one under another file name."
        )
    for one in named:
        if one.status == "failed":
            keep_failed_files(connection, one)
            _remove(connection, one.id)
    return next((one.id for one in named if one.status == "ready"), "")


def _waits(document: Document) -> bool:
    return document.status == "importing" and document.replaces != ""


def _give_up(connection: Connection, found: list[Document]) -> list[Document]:
    """Imports that a later one under their name makes needless; the files that they came from do not go with them."""
    ids = [one.id for one in found]
    let_wait_again(connection, ids)
    mark_deleting(connection, ids)
    return found


def _set(connection: Connection, document_id: str, **values: Any) -> None:
    connection.execute(update(documents).where(documents.c.id == document_id).values(**values))


def mark_deleting(connection: Connection, document_ids: list[str]) -> list[Document]:
    """From now on they are neither listed nor searched; returns what was to replace them, which goes as well. The files
    that this came from wait again.
    """
    waiting: list[Document] = []
    for wanted in batches(document_ids, 500):
        to_replace = documents.c.replaces.in_(wanted)
        found = select_documents().where(to_replace, documents.c.status != "deleting")
        of_newer = [document_of(row) for row in connection.execute(found).mappings()]
        let_wait_again(connection, [one.id for one in of_newer])
        waiting += of_newer
        mine = or_(documents.c.id.in_(wanted), to_replace)
        connection.execute(update(documents).where(mine).values(status="deleting"))
        gone = [{"kind": "delete", "document_id": one} for one in wanted]
        connection.execute(insert(changes), gone)
    return waiting


def _remove(connection: Connection, document_id: str) -> None:
    mine = documents.c.id == document_id
    row = connection.execute(select(documents.c.content_id).where(mine)).first()
    if row is None:
        return
    let_wait_again(connection, [document_id])
    connection.execute(delete(documents).where(mine))
    empty_unless_needed(connection, row.content_id)
    left = select(documents.c.id).where(documents.c.content_id == row.content_id)
    if connection.execute(left.limit(1)).first() is None:
        connection.execute(delete(contents).where(contents.c.id == row.content_id))
    drop_emptied(connection)
