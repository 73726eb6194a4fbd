"""Files of collections as they are read: by the ids that they came under, and the documents that came without.

A file waits until it is taken in, and then is one with its document: several files of the same bytes are one document.
A document that came without a file is shown as a file of its own id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    JSON,
    CompoundSelect,
    Connection,
    Row,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
)

from api.errors import NotFound
from api.store.database import among
from api.store.tables import STANDS_ALONE, collection_files, contents, documents

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]

FILE = collection_files.c
IS_SHOWN = documents.c.status.in_(("importing", "ready", "failed"))
_STATUS = case(
    (documents.c.status == "importing", "in_progress"),
    (documents.c.status == "ready", "completed"),
    (documents.c.status == "failed", "failed"),
    (FILE.status == "waiting", "in_progress"),
    else_=FILE.status,
)
_STATUS_ALONE = case(
    (documents.c.status == "importing", "in_progress"),
    (documents.c.status == "ready", "completed"),
    else_="failed",
)
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


def shown_files(collection_ids: Sequence[str]) -> CompoundSelect[Any]:
    """Every file of the collections: what came by an id, then the documents that came without."""
    by_id = (
        select(
            FILE.collection_id,
            FILE.file_id,
            FILE.document_id,
            FILE.name,
            _STATUS.label("status"),
            FILE.attributes,
            func.coalesce(documents.c.error, FILE.error, type_=JSON).label("error"),
            _SIZE.label("size_bytes"),
            FILE.created_at,
        )
        .outerjoin(documents, documents.c.id == FILE.document_id)
        .outerjoin(contents, contents.c.id == documents.c.content_id)
        .where(among(FILE.collection_id, collection_ids))
        .where(or_(FILE.document_id.is_(None), IS_SHOWN))
    )
    has_file = select(FILE.file_id).where(FILE.document_id == documents.c.id).exists()
    alone = (
        select(
            documents.c.collection_id,
            documents.c.id,
            documents.c.id,
            documents.c.name,
            _STATUS_ALONE,
            literal({}, JSON),
            documents.c.error,
            _SIZE,
            documents.c.created_at,
        )
        .join(contents, contents.c.id == documents.c.content_id)
        .where(among(documents.c.collection_id, collection_ids))
        .where(IS_SHOWN, STANDS_ALONE, ~has_file)
    )
    return union_all(by_id, alone)


def one_file(connection: Connection, collection_id: str, file_id: str) -> CollectionFile:
    """One of a collection; `errors.NotFound`."""
    shown = shown_files([collection_id]).subquery()
    row = connection.execute(select(shown).where(shown.c.file_id == file_id)).first()
    if row is None:
        raise NotFound(f"No file {file_id!r} in the vector store.")
    return file_of(row)


def file_of(row: Row[Any]) -> CollectionFile:
    """The value of a row of `shown_files`."""
    return CollectionFile(*row)
