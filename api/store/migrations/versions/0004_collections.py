"""Collections: a document is a content under a name in a collection; vectors stand in a table of their own.

What was a document goes on as the content of the same id, so that pages, chunks and files stay where they are. Ready
documents of the same bytes and embedder share the first one's content. Nothing is embedded anew; the search indexes
follow, for every searchable document is told as changed.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

LIVE = sa.text("status IN ('importing', 'ready')")


def upgrade() -> None:
    """Split what a document is from where it stands."""
    _rename_documents_to_contents()
    _make_tables()
    _fill_collections()
    _fill_documents()
    _share_equal_contents()
    _move_vectors()
    _drop_what_has_moved()
    for table in ("models", "jobs"):
        op.add_column(table, _workspace())
    op.execute(
        "INSERT INTO changes (kind, document_id) SELECT 'put', id FROM documents WHERE status = 'ready'"
    )


def _workspace() -> sa.Column[str]:
    return sa.Column("workspace", sa.String, nullable=False, server_default="default")


def _rename_documents_to_contents() -> None:
    """SQLite takes the foreign keys of pages and chunks along."""
    op.drop_index("one_live_document_a_name", "documents")
    op.drop_index("one_live_document_a_content", "documents")
    op.drop_index("chunks_of_a_document", "chunks")
    op.rename_table("documents", "contents")
    for table in ("pages", "chunks"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN document_id TO content_id")
    op.create_index("chunks_of_a_content", "chunks", ["content_id", "ordinal"], unique=True)
    op.add_column("contents", _workspace())
    op.create_index("contents_by_hash", "contents", ["workspace", "sha256"])


def _make_tables() -> None:
    op.create_table(
        "collections",
        sa.Column("id", sa.String, primary_key=True),
        _workspace(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("embedder", sa.String, nullable=False, server_default=""),
        sa.Column("status", sa.String, nullable=False, server_default="ready"),
        sa.Column("created_at", sa.String, nullable=False),
    )
    stands = sa.text("status = 'ready'")
    op.create_index(
        "one_collection_a_name",
        "collections",
        ["workspace", "name_key"],
        unique=True,
        sqlite_where=stands,
        postgresql_where=stands,
    )
    op.create_table(
        "documents",
        sa.Column("id", sa.String, primary_key=True),
        _workspace(),
        sa.Column("collection_id", sa.String, sa.ForeignKey("collections.id"), nullable=False),
        sa.Column("content_id", sa.String, sa.ForeignKey("contents.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("embedder", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.String, nullable=False),
    )
    for name, column in (
        ("one_live_document_a_name", "name_key"),
        ("one_live_document_a_content", "content_id"),
    ):
        op.create_index(
            name,
            "documents",
            ["collection_id", column],
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        )
    op.create_index("documents_in_a_collection", "documents", ["collection_id", "name", "id"])
    op.create_index("documents_of_a_content", "documents", ["content_id"])
    op.create_table(
        "vectors",
        sa.Column(
            "chunk_id", sa.Integer, sa.ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("embedder", sa.String, primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )


def _fill_collections() -> None:
    """One a model that has documents, by its key; that of the documents for all models is `*`."""
    connection = op.get_bind()
    owners = connection.execute(
        sa.text(
            "SELECT contents.model AS key, coalesce(models.name, contents.model) AS name, "
            "min(contents.created_at) AS created_at "
            "FROM contents LEFT JOIN models ON models.key = contents.model GROUP BY contents.model"
        )
    ).all()
    for owner in owners:
        connection.execute(
            sa.text(
                "INSERT INTO collections (id, name, name_key, created_at) VALUES (:id, :name, :key, :at)"
            ),
            {
                "id": f"col_{secrets.token_hex(8)}",
                "name": owner.name or "*",
                "key": owner.key or "*",
                "at": owner.created_at,
            },
        )


def _fill_documents() -> None:
    op.execute(
        "INSERT INTO documents "
        "(id, collection_id, content_id, name, name_key, status, error, embedder, created_at) "
        "SELECT contents.id, collections.id, contents.id, contents.name, contents.name_key, "
        "contents.status, contents.error, "
        "CASE contents.status WHEN 'failed' THEN '' ELSE contents.embedder END, contents.created_at "
        "FROM contents JOIN collections "
        "ON collections.name_key = CASE contents.model WHEN '' THEN '*' ELSE contents.model END"
    )


def _share_equal_contents() -> None:
    """The oldest ready one stays; the others' pages, chunks and vectors go."""
    op.execute("CREATE TEMPORARY TABLE shared (id TEXT PRIMARY KEY, kept TEXT)")
    op.execute(
        "INSERT INTO shared SELECT one.id, "
        "(SELECT other.id FROM contents AS other "
        "WHERE other.workspace = one.workspace AND other.sha256 = one.sha256 "  # as the index has them
        "AND other.embedder = one.embedder AND other.status = 'ready' "
        "ORDER BY other.created_at, other.id LIMIT 1) "
        "FROM contents AS one WHERE one.status = 'ready'"
    )
    op.execute("DELETE FROM shared WHERE id = kept")
    op.execute(
        "UPDATE documents SET content_id = (SELECT kept FROM shared WHERE shared.id = content_id) "
        "WHERE content_id IN (SELECT id FROM shared)"
    )
    op.execute("DELETE FROM pages WHERE content_id IN (SELECT id FROM shared)")
    op.execute("DELETE FROM chunks WHERE content_id IN (SELECT id FROM shared)")
    op.execute("DELETE FROM contents WHERE id IN (SELECT id FROM shared)")
    op.execute("DROP TABLE shared")


def _move_vectors() -> None:
    op.execute(
        "INSERT INTO vectors (chunk_id, embedder, vector) "
        "SELECT chunks.id, contents.embedder, chunks.vector FROM chunks "
        "JOIN contents ON contents.id = chunks.content_id WHERE chunks.vector IS NOT NULL"
    )


def _drop_what_has_moved() -> None:
    op.execute("ALTER TABLE chunks DROP COLUMN vector")
    for column in ("name", "name_key", "model", "status", "error", "created_at"):
        op.execute(f"ALTER TABLE contents DROP COLUMN {column}")
    # which model a content was cut for, without the dimension of its vectors
    op.execute("UPDATE contents SET embedder = rtrim(rtrim(embedder, '0123456789'), ':')")
