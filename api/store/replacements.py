"""How a newer version of a document takes its place: the document keeps its id and gets another content.

The newer version is imported as a document of its own that `replaces` the older one. In one transaction the two
exchange their contents; what was imported beside is then left with the older content, and goes with it.
"""

from sqlalchemy import Connection, insert, select, update

from api.store.collection_files import hand_files_on
from api.store.database import Database
from api.store.document_rows import Document, document_of, one_document, select_documents
from api.store.tables import changes, contents, documents


class Replacements:
    """Queries over documents that wait to take another one's place; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_place(self, document_id: str) -> tuple[Document, Document]:
        """The document with its new content, and what is left to be deleted.

        `errors.DocumentNotFound` when it was given up or deleted meanwhile.
        """
        with self._database.write() as connection:
            newer = one_document(connection, document_id)
            exchange(connection, newer, left_as="deleting")
            hand_files_on(connection, newer)
            return one_document(connection, newer.replaces), _whatever(connection, document_id)

    def of(self, document_id: str) -> Document | None:
        """What is being imported to take a document's place, or was and failed."""
        query = select_documents().where(
            documents.c.replaces == document_id, documents.c.status.in_(("importing", "failed"))
        )
        with self._database.read() as connection:
            row = connection.execute(query.order_by(documents.c.status.desc())).mappings().first()
            return document_of(row) if row else None


def exchange(connection: Connection, newer: Document, *, left_as: str) -> None:
    """Let a document and what replaces it exchange their contents."""
    content = (documents.c.content_id, documents.c.embedder, documents.c.name)
    replaced = documents.c.id == newer.replaces
    older = connection.execute(select(*content).where(replaced)).one()
    mine = documents.c.id == newer.id
    left = {"content_id": older.content_id, "embedder": older.embedder, "name": older.name}
    connection.execute(update(documents).where(mine).values(**left, status=left_as))
    taken = {"content_id": newer.content_id, "embedder": newer.embedder, "name": newer.name}
    connection.execute(update(documents).where(replaced).values(**taken))
    whole = {"pages_done": contents.c.pages_total}
    connection.execute(update(contents).where(contents.c.id == newer.content_id).values(**whole))
    connection.execute(insert(changes).values(kind="put", document_id=newer.replaces))


def _whatever(connection: Connection, document_id: str) -> Document:
    """A document in any state."""
    query = select_documents().where(documents.c.id == document_id)
    return document_of(connection.execute(query).mappings().one())
