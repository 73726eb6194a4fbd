"""Files of collections as they are read: by the ids that they came under, and the documents that came without.

A file waits until it is taken in, and then is one with its document: several files of the same bytes are one document.
A document that came without a file is shown as a file of its own id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Row,
    Select,
    Subquery,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from api.errors import NotFound
from api.store.database import among
from api.store.tables import collection_files, contents, documents

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]

FILE = collection_files.c
IS_SHOWN = documents.c.status.in_(("importing", "ready", "failed"))
STATUS = case(
    (documents.c.status == "importing", "in_progress"),
    (documents.c.status == "ready", "completed"),
    (documents.c.status == "failed", "failed"),
    (FILE.status == "waiting", "in_progress"),
    else_=FILE.status,
)
STATUS_ALONE = case(
    (documents.c.status == "importing", "in_progress"),
    (documents.c.status == "ready", "completed"),
    else_="failed",
)
_STANDS_ALONE = documents.c.replaces.concat("") == ""
"""SQLite would rather walk through all documents that do, by their index."""
_SIZE = case((documents.c.status == "ready", contents.c.size_bytes), else_=0)


@dataclass(frozen=True, slots=True)
class CollectionFile:
    """A file as it stands in a collection: `document_id` is None until it is taken in, `error` the problem of one that
    failed.
    """

    collection_id: str
    file_id: str
    document_id: str | None
    name: str
    status: FileStatus
    attributes: Mapping[str, Any]
    error: dict[str, Any] | None
    size_bytes: int
    created_at: str


class NewFile(NamedTuple):
    """A file that is to come, and when it goes by itself. Without attributes one that is there keeps its own."""

    file_id: str
    name: str
    attributes: Mapping[str, Any] | None = None
    kept_until: datetime | None = None


class Waiting(NamedTuple):
    """A file that waits to be taken in, and whose it is."""

    collection_id: str
    file_id: str
    name: str
    workspace: str


class Batch(NamedTuple):
    """Files that came together."""

    id: str
    collection_id: str
    file_ids: Sequence[str]
    is_cancelled: bool
    created_at: str


class Shown(NamedTuple):
    """Which files: of these collections, and of them those of some ids, or of some documents."""

    collection_ids: Sequence[str]
    file_ids: Iterable[str] | None = None
    document_ids: Iterable[str] | None = None


def shown_files(wanted: Shown) -> Subquery:
    """The columns of a `CollectionFile`: what came by an id, and the documents that came without."""
    by_id = files_by_id(
        wanted,
        FILE.collection_id,
        FILE.file_id,
        FILE.document_id,
        FILE.name,
        STATUS.label("status"),
        FILE.attributes,
        func.coalesce(documents.c.error, FILE.error, type_=JSON).label("error"),
        _SIZE.label("size_bytes"),
        FILE.created_at,
    )
    alone = documents_alone(
        wanted,
        documents.c.collection_id,
        documents.c.id,
        documents.c.id,
        documents.c.name,
        STATUS_ALONE,
        literal({}, JSON),
        documents.c.error,
        _SIZE,
        documents.c.created_at,
    )
    of_content = contents.c.id == documents.c.content_id
    sized = (by_id.outerjoin(contents, of_content), alone.join(contents, of_content))
    return union_all(*sized).subquery()


def files_by_id(wanted: Shown, *columns: ColumnElement[Any]) -> Select[Any]:
    """What came by an id, with its document where it is one."""
    query = (
        select(*columns)
        .select_from(collection_files)
        .outerjoin(documents, documents.c.id == FILE.document_id)
        .where(among(_collection_of(FILE, wanted), wanted.collection_ids))
        .where(or_(FILE.document_id.is_(None), IS_SHOWN))
    )
    return _of_ids(query, wanted, FILE.file_id, FILE.document_id)


def documents_alone(wanted: Shown, *columns: ColumnElement[Any]) -> Select[Any]:
    """The documents that came without a file."""
    has_file = select(FILE.file_id).where(FILE.document_id == documents.c.id).exists()
    query = (
        select(*columns)
        .select_from(documents)
        .where(among(_collection_of(documents.c, wanted), wanted.collection_ids))
        .where(IS_SHOWN, _STANDS_ALONE, ~has_file)
    )
    return _of_ids(query, wanted, documents.c.id, documents.c.id)


def _collection_of(table: ReadOnlyColumnCollection[str, Any], wanted: Shown) -> ColumnElement[str]:
    """For few ids SQLite is kept from walking through all that is in the collection, by its index."""
    is_few = wanted.file_ids is not None or wanted.document_ids is not None
    column: ColumnElement[str] = table.collection_id
    return column.concat("") if is_few else column


def _of_ids(
    query: Select[Any], wanted: Shown, file: ColumnElement[str], document: ColumnElement[Any]
) -> Select[Any]:
    for column, ids in ((file, wanted.file_ids), (document, wanted.document_ids)):
        if ids is not None:
            query = query.where(among(column, ids))
    return query


def one_file(connection: Connection, collection_id: str, file_id: str) -> CollectionFile:
    """One of a collection; `errors.NotFound`."""
    shown = shown_files(Shown([collection_id], [file_id]))
    row = connection.execute(select(shown)).first()
    if row is None:
        raise NotFound(f"No file {file_id!r} in the vector store.")
    return file_of(row)


def file_of(row: Row[Any]) -> CollectionFile:
    """The value of a row of `shown_files`."""
    values: Sequence[Any] = row
    return CollectionFile(*values)
