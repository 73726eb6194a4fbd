"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "documents",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("model", sa.String, nullable=False, server_default=""),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("title", sa.Text, nullable=False, server_default=""),
        sa.Column("pages_total", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pages_done", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pages_unreadable", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("embedder", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.String, nullable=False),
    )
    live = sa.text("status IN ('importing', 'ready')")
    for name, column in (
        ("one_live_document_a_name", "name_key"),
        ("one_live_document_a_content", "sha256"),
    ):
        op.create_index(
            name,
            "documents",
            ["model", column],
            unique=True,
            sqlite_where=live,
            postgresql_where=live,
        )
    document_id = sa.ForeignKey("documents.id", ondelete="CASCADE")
    op.create_table(
        "pages",
        sa.Column("document_id", sa.String, document_id, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "chunks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "document_id",
            sa.String,
            sa.ForeignKey("documents.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("page", sa.Integer, nullable=False),
        sa.Column("heading", sa.Text, nullable=False, server_default=""),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("chunks_of_a_document", "chunks", ["document_id", "ordinal"], unique=True)
    op.create_table(
        "changes",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("document_id", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "models",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("base", sa.String, nullable=False, server_default=""),
        sa.Column("job_id", sa.String, nullable=False, server_default=""),
        sa.Column("created_at", sa.String, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("base_model", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("gate", sa.JSON),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("started_at", sa.String),
        sa.Column("ended_at", sa.String),
        sa.Column("queued_at", sa.Float, nullable=False),
    )
    op.create_index("jobs_in_order", "jobs", ["status", "queued_at"])
