"""A newer version of a document is imported beside the older one, and then takes its place."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

LIVE = sa.text("status IN ('importing', 'ready') AND replaces = ''")


def upgrade() -> None:
    """What waits to take another document's place may have its name."""
    op.add_column("documents", sa.Column("replaces", sa.String, nullable=False, server_default=""))
    for name, column in (
        ("one_live_document_a_name", "name_key"),
        ("one_live_document_a_content", "content_id"),
    ):
        op.drop_index(name, "documents")
        op.create_index(
            name,
            "documents",
            ["collection_id", column],
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        )
    op.create_index("documents_that_replace", "documents", ["replaces"])
