"""A collection has a title and what its owner notes of it, it may expire, and files come into it by their ids."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Collections of before have no title of their own and do not expire; no file came by its id."""
    op.add_column("collections", sa.Column("title", sa.Text))
    op.add_column(
        "collections", sa.Column("metadata", sa.JSON, nullable=False, server_default="{}")
    )
    op.add_column("collections", sa.Column("expires_after_days", sa.Integer))
    op.add_column("collections", sa.Column("last_active_at", sa.String))
    op.create_table(
        "collection_files",
        sa.Column(
            "collection_id",
            sa.String,
            sa.ForeignKey("collections.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("file_id", sa.String, primary_key=True),
        sa.Column("document_id", sa.String, sa.ForeignKey("documents.id", ondelete="CASCADE")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("kept_until", sa.String),
    )
    op.create_index("files_of_a_document", "collection_files", ["document_id"])
    op.create_index("files_by_status", "collection_files", ["status", "created_at"])
    op.create_index("collections_of_a_file", "collection_files", ["file_id"])
    op.create_index("files_by_end", "collection_files", ["kept_until"])
    op.create_table(
        "file_batches",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column(
            "collection_id",
            sa.String,
            sa.ForeignKey("collections.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("file_ids", sa.JSON, nullable=False),
        sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.String, nullable=False),
    )
    op.create_index("batches_of_a_collection", "file_batches", ["collection_id"])
