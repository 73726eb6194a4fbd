"""How files come into collections, become one with their documents, and go; and what is asked about them.

A file becomes one with its document in the transaction that makes that, so that no moment shows both.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from api.errors import NotFound
from api.store.collections import require_found
from api.store.database import Database, among
from api.store.document_rows import Document
from api.store.file_rows import (
    FILE,
    STATUS,
    STATUS_ALONE,
    Batch,
    CollectionFile,
    FileStatus,
    NewFile,
    Shown,
    Waiting,
    documents_alone,
    file_of,
    files_by_id,
    one_file,
    shown_files,
)
from api.store.keyset import Key, Part, part_of
from api.store.tables import (
    collection_files,
    collections,
    contents,
    documents,
    file_batches,
    within,
)

__all__ = ["Batch", "CollectionFile", "CollectionFiles", "FileStatus", "NewFile", "Waiting"]


class CollectionFiles:
    """Queries over the files of collections; each method is one transaction. `of_file` is of a workspace's, without
    one of all.
    """

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._workspace = workspace

    def add(self, collection_id: str, files: Sequence[NewFile], batch_id: str = "") -> list[str]:
        """Let files wait, together as a batch where that has an id. What is there or on its way stays as it is but for
        its attributes; what failed, or was cancelled, is tried again. Returns the documents of those that failed
        and of no other file, which are not wanted any more. `errors.CollectionNotFound` when it was deleted.
        """
        at = _now()
        with self._database.write() as connection:
            require_found(connection, collection_id)
            there = {one.file_id: one for one in _shown_of(connection, collection_id, files)}
            for file in files:
                found = there.get(file.file_id)
                if found and found.status in ("in_progress", "completed"):
                    if file.attributes is not None:
                        _set(connection, found, attributes=dict(file.attributes))
                    continue
                connection.execute(delete(collection_files).where(_is(collection_id, file.file_id)))
                values: dict[str, Any] = {
                    "name": file.name,
                    "attributes": dict(file.attributes or {}),
                    "kept_until": file.kept_until and file.kept_until.isoformat(),
                }
                _insert(connection, collection_id, file.file_id, at, status="waiting", **values)
            if batch_id:
                ids = list(dict.fromkeys(file.file_id for file in files))
                made = {"id": batch_id, "collection_id": collection_id, "created_at": at}
                connection.execute(insert(file_batches).values(**made, file_ids=ids))
            failed = [one.document_id for one in there.values() if one.status == "failed"]
            made_of = {document_id for document_id in failed if document_id}
            had = select(FILE.document_id).where(among(FILE.document_id, made_of))
            return list(made_of.difference(connection.execute(had).scalars()))

    def waiting(self, limit: int) -> list[Waiting]:
        """The files that wait longest, those of the collections in turns."""
        order = (FILE.created_at, FILE.file_id)
        turn = func.row_number().over(partition_by=FILE.collection_id, order_by=order)
        query = (
            select(FILE.collection_id, FILE.file_id, FILE.name, collections.c.workspace)
            .join(collections, collections.c.id == FILE.collection_id)
            .where(FILE.status == "waiting")
            .order_by(turn, *order)
        )
        with self._database.read() as connection:
            return [Waiting(*row) for row in connection.execute(query.limit(limit))]

    def is_waiting(self, collection_id: str, file_id: str) -> bool:
        """Whether it is still to be taken in."""
        mine = _is(collection_id, file_id)
        query = select(FILE.file_id).where(mine, FILE.status == "waiting")
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def end(
        self,
        collection_id: str,
        file_id: str,
        error: Mapping[str, Any],
    ) -> None:
        """It becomes no document; why."""
        values = {"status": "failed", "error": error, "document_id": None}
        with self._database.write() as connection:
            mine = _is(collection_id, file_id)
            connection.execute(update(collection_files).where(mine).values(**values))

    def set_attributes(self, file: CollectionFile, attributes: Mapping[str, Any]) -> None:
        """Note others; of a document that came without a file, too."""
        with self._database.write() as connection:
            if not _set(connection, file, attributes=dict(attributes)) and file.document_id:
                _adopt(connection, file.collection_id, file.document_id, attributes)

    def forget(self, collection_id: str, file_ids: Iterable[str]) -> None:
        """They are not the collection's any more; their documents stay."""
        mine = (FILE.collection_id == collection_id, among(FILE.file_id, file_ids))
        with self._database.freeing() as connection:
            connection.execute(delete(collection_files).where(*mine))

    def forget_all(self, collection_id: str) -> None:
        """The same for all files of a collection, and its batches."""
        with self._database.freeing() as connection:
            for table in (collection_files, file_batches):
                connection.execute(delete(table).where(table.c.collection_id == collection_id))

    def page(
        self,
        collection_id: str,
        part: Part,
        status: FileStatus | None = None,
        file_ids: Sequence[str] | None = None,
    ) -> tuple[list[CollectionFile], bool]:
        """A part of those in that state, and of these ids, and whether there are more; `errors.NotFound`."""
        shown = shown_files(Shown([collection_id], file_ids))
        query = select(shown)
        if status is not None:
            query = query.where(shown.c.status == status)
        with self._database.read() as connection:

            def key_of(file_id: str) -> Key:
                found = one_file(connection, collection_id, file_id)
                return found.created_at, found.file_id

            order = (shown.c.created_at, shown.c.file_id)
            rows, has_more = part_of(connection, query, order, part, key_of)
        return [file_of(row) for row in rows], has_more

    def find(self, collection_id: str, file_id: str) -> CollectionFile:
        """One; `errors.NotFound`."""
        with self._database.read() as connection:
            return one_file(connection, collection_id, file_id)

    def attributes(self, collection_ids: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
        """Of each file that can be searched: its document, and its attributes."""
        wanted = Shown(collection_ids)
        is_ready = documents.c.status == "ready"
        by_id = files_by_id(wanted, FILE.document_id, FILE.attributes).where(is_ready)
        alone = documents_alone(wanted, documents.c.id).where(is_ready)
        with self._database.read() as connection:
            noted = [(row[0], row[1]) for row in connection.execute(by_id)]
            return [*noted, *((row[0], {}) for row in connection.execute(alone))]

    def of_documents(
        self, collection_ids: Sequence[str], document_ids: Iterable[str]
    ) -> list[CollectionFile]:
        """Those that are one with these documents, in the order in which they came."""
        shown = shown_files(Shown(collection_ids, document_ids=list(document_ids)))
        query = select(shown)
        with self._database.read() as connection:
            found = connection.execute(query.order_by(shown.c.created_at, shown.c.file_id))
            return [file_of(row) for row in found]

    def of_file(self, file_id: str) -> list[str]:
        """The collections that have a file."""
        query = (
            select(FILE.collection_id)
            .join(collections, collections.c.id == FILE.collection_id)
            .where(FILE.file_id == file_id, within(collections, self._workspace))
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def ended(self, now: datetime) -> list[tuple[str, str]]:
        """The collections, each with the id of a file, whose time is over."""
        query = select(FILE.collection_id, FILE.file_id).where(FILE.kept_until <= now.isoformat())
        with self._database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def counts(
        self, collection_ids: Sequence[str], file_ids: Sequence[str] | None = None
    ) -> dict[str, dict[FileStatus, int]]:
        """How many files of each collection, of these ids only, are in which state."""
        wanted = Shown(collection_ids, file_ids)
        counts: dict[str, dict[FileStatus, int]] = defaultdict(lambda: defaultdict(int))
        with self._database.read() as connection:
            for query, of, status in (
                (files_by_id, FILE.collection_id, STATUS),
                (documents_alone, documents.c.collection_id, STATUS_ALONE),
            ):
                counted = query(wanted, of, status, func.count()).group_by(of, status)
                for collection_id, name, count in connection.execute(counted):
                    counts[collection_id][name] += count
        return counts

    def sizes(self, collection_ids: Sequence[str]) -> dict[str, int]:
        """The bytes of what can be searched in each of the collections."""
        query = (
            select(documents.c.collection_id, func.sum(contents.c.size_bytes))
            .join(contents, contents.c.id == documents.c.content_id)
            .where(documents.c.status == "ready", among(documents.c.collection_id, collection_ids))
            .group_by(documents.c.collection_id)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def batch(self, collection_id: str, batch_id: str) -> Batch:
        """One batch of a collection; `errors.NotFound`."""
        found = file_batches.c
        query = select(
            found.id, found.collection_id, found.file_ids, found.is_cancelled, found.created_at
        ).where(found.id == batch_id, found.collection_id == collection_id)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"No file batch {batch_id!r}.")
        return Batch(*row)

    def mark_cancelled(self, batch_id: str) -> None:
        """Its files that are not there yet are not wanted any more."""
        mine = file_batches.c.id == batch_id
        with self._database.write() as connection:
            connection.execute(update(file_batches).where(mine).values(is_cancelled=True))


def attach_file(connection: Connection, document: Document, file_id: str, *, is_new: bool) -> None:
    """From now on a file that waits is one with its document. A document that was there without a file stays one for
    itself.
    """
    if not is_new and not document.replaces:
        _stay(connection, document.collection_id, document.id)
    values = {"status": "attached", "document_id": document.id}
    mine = _is(document.collection_id, file_id)
    connection.execute(update(collection_files).where(mine).values(**values))


def hand_files_on(connection: Connection, newer: Document) -> None:
    """The files of a document that takes another one's place are one with that from now on."""
    mine = FILE.document_id == newer.id
    if connection.execute(select(FILE.file_id).where(mine).limit(1)).first() is not None:
        _stay(connection, newer.collection_id, newer.replaces)
        values = {"document_id": newer.replaces}
        connection.execute(update(collection_files).where(mine).values(**values))


def keep_failed_files(connection: Connection, document: Document) -> None:
    """The files of a document that failed and is forgotten."""
    values = {"status": "failed", "error": document.error, "document_id": None}
    mine = (FILE.document_id == document.id, FILE.file_id != document.id)
    connection.execute(update(collection_files).where(*mine).values(**values))


def cancel_files(connection: Connection, collection_id: str, file_ids: Sequence[str]) -> set[str]:
    """Those of the files that are on their way become no documents; the ids of the documents that no other file is one
    with.
    """
    shown = shown_files(Shown([collection_id], file_ids))
    on_way = connection.execute(select(shown).where(shown.c.status == "in_progress"))
    files = [file_of(row) for row in on_way]
    mine = (FILE.collection_id == collection_id, among(FILE.file_id, [f.file_id for f in files]))
    values = {"status": "cancelled", "error": None, "document_id": None}
    connection.execute(update(collection_files).where(*mine).values(**values))
    made_of = {file.document_id for file in files if file.document_id}
    had = select(FILE.document_id).where(among(FILE.document_id, made_of))
    return made_of.difference(connection.execute(had).scalars())


def let_wait_again(connection: Connection, document_ids: Iterable[str]) -> None:
    """The files of documents that are forgotten before they were kept."""
    importing = select(documents.c.id).where(
        among(documents.c.id, document_ids), documents.c.status == "importing"
    )
    mine = (FILE.document_id.in_(importing), FILE.file_id != FILE.document_id)
    values = {"status": "waiting", "document_id": None}
    connection.execute(update(collection_files).where(*mine).values(**values))


def _shown_of(
    connection: Connection, collection_id: str, files: Sequence[NewFile]
) -> list[CollectionFile]:
    shown = shown_files(Shown([collection_id], [one.file_id for one in files]))
    return [file_of(row) for row in connection.execute(select(shown))]


def _is(collection_id: str, file_id: str) -> ColumnElement[bool]:
    return and_(FILE.collection_id == collection_id, FILE.file_id == file_id)


def _set(connection: Connection, file: CollectionFile, **values: Any) -> bool:
    """Whether there was a row to be changed."""
    mine = _is(file.collection_id, file.file_id)
    return connection.execute(update(collection_files).where(mine).values(**values)).rowcount > 0


def _insert(
    connection: Connection, collection_id: str, file_id: str, created_at: str, **values: Any
) -> None:
    own = {"collection_id": collection_id, "file_id": file_id, "created_at": created_at}
    connection.execute(insert(collection_files).values(**own, **values))


def _stay(connection: Connection, collection_id: str, document_id: str) -> None:
    """Adopt a document, unless it has files: then it came with one of them."""
    known = select(FILE.file_id).where(FILE.document_id == document_id)
    if connection.execute(known.limit(1)).first() is None:
        _adopt(connection, collection_id, document_id, {})


def _adopt(
    connection: Connection, collection_id: str, document_id: str, attributes: Mapping[str, Any]
) -> None:
    """Give a document that came without a file a row of its own."""
    own = select(documents.c.name, documents.c.created_at).where(documents.c.id == document_id)
    row = connection.execute(own).first()
    if row is not None:
        values = {"name": row.name, "document_id": document_id, "attributes": dict(attributes)}
        _insert(connection, collection_id, document_id, row.created_at, status="attached", **values)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
