"""Contents: the pages of a file, kept once however many collections have it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from api.data_folder.contents import Named
from api.store.database import Database
from api.store.tables import IS_LIVE, chunks, collections, contents, documents, pages


@dataclass(frozen=True, slots=True)
class Page:
    """The text of one page; the first page is number 1.

    `label` is what its owner calls it where that is no number (a sheet, a section), `recognised` says that the text was
    read off a picture, and `layout` where it stands: `documents.reading.values.Layout` as JSON.
    """

    number: int
    text: str
    label: str = ""
    recognised: bool = False
    layout: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was read of a document; `unreadable` are the numbers of pages that failed, `notices` say what was left out
    and why (`documents.reading.values.Notice` as JSON), and `language` is empty when it is not known.
    """

    title: str
    pages: tuple[Page, ...]
    unreadable: tuple[int, ...] = ()
    notices: tuple[Mapping[str, Any], ...] = ()
    language: str = ""


class Contents:
    """Queries over contents and their pages; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_pages(self, content_id: str, found: Extracted) -> None:
        """Keep what was read, in place of what was before."""
        with self._database.write() as connection:
            connection.execute(delete(pages).where(pages.c.content_id == content_id))
            connection.execute(delete(chunks).where(chunks.c.content_id == content_id))
            connection.execute(
                insert(pages), [asdict(page) | {"content_id": content_id} for page in found.pages]
            )
            values: dict[str, Any] = {
                "title": found.title,
                "pages_total": len(found.pages) + len(found.unreadable),
                "pages_done": 0,
                "pages_unreadable": list(found.unreadable),
                "notices": list(found.notices),
                "language": found.language,
            }
            connection.execute(update(contents).where(contents.c.id == content_id).values(**values))

    def pages(self, content_id: str) -> list[Page]:
        """All pages with text, in order."""
        query = select(pages).where(pages.c.content_id == content_id).order_by(pages.c.number)
        with self._database.read() as connection:
            return [_page(row) for row in connection.execute(query).mappings()]

    def some_pages(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Page]:
        """Some pages, by (document id, page number)."""
        found = {}
        of_document = pages.c.content_id == documents.c.content_id
        with self._database.read() as connection:
            for document_id, number in set(wanted):
                query = (
                    select(pages)
                    .join(documents, of_document)
                    .where(documents.c.id == document_id, pages.c.number == number)
                )
                if row := connection.execute(query).mappings().first():
                    found[document_id, number] = _page(row)
        return found

    def embedder(self, content_id: str) -> str:
        """The embedding model that it is cut for."""
        query = select(contents.c.embedder).where(contents.c.id == content_id)
        with self._database.read() as connection:
            return str(connection.execute(query).scalar_one())

    def described(self) -> set[Named]:
        """Every document whose content has a file: that of a failed one has none."""
        query = (
            select(documents.c.content_id, collections.c.name.label("collection"), documents.c.name)
            .join(collections, collections.c.id == documents.c.collection_id)
            .where(documents.c.status != "failed")
        )
        with self._database.read() as connection:
            return {
                Named(row.content_id, row.collection, row.name) for row in connection.execute(query)
            }

    def is_complete(self, content_id: str) -> bool:
        """Whether a document of this content is ready, or stands by: its chunks are cut and stay as they are."""
        query = select(documents.c.id).where(
            documents.c.content_id == content_id, documents.c.status.in_(("ready", "standby"))
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None


def _page(row: RowMapping) -> Page:
    return Page(**{field.name: row[field.name] for field in fields(Page)})


def live_content(
    connection: Connection, workspace: str, sha256: str, embedder: str, kind: str
) -> str | None:
    """A content of these bytes, read as this kind, that a live document of the workspace has, a ready one before
    others; what is on its way out, or stands by, is not taken again.
    """
    query = (
        select(contents.c.id)
        .join(documents, documents.c.content_id == contents.c.id)
        .where(
            contents.c.workspace == workspace,
            contents.c.sha256 == sha256,
            contents.c.embedder == embedder,
            contents.c.kind == kind,
            IS_LIVE,
        )
        .order_by(documents.c.status.desc(), documents.c.created_at)
    )
    return connection.execute(query.limit(1)).scalar()


def empty_unless_needed(connection: Connection, content_id: str) -> None:
    """Pages and chunks go when no document but failed ones has the content."""
    needed = select(documents.c.id).where(
        documents.c.content_id == content_id, documents.c.status != "failed"
    )
    if connection.execute(needed.limit(1)).first() is None:
        connection.execute(delete(pages).where(pages.c.content_id == content_id))
        connection.execute(delete(chunks).where(chunks.c.content_id == content_id))
