"""A collection is embedded anew behind what answers, and what was embedded once is known by its text."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Vectors of before are not known by their text; they are used as they are."""
    op.create_table(
        "reembeddings",
        sa.Column(
            "collection_id",
            sa.String,
            sa.ForeignKey("collections.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("embedder", sa.String, nullable=False),
        sa.Column("previous", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reread", sa.Boolean, nullable=False),
        sa.Column("templates", sa.JSON),
        sa.Column("previous_templates", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("started_at", sa.String, nullable=False),
    )
    op.add_column("vectors", sa.Column("text", sa.LargeBinary))
    op.create_index("vectors_of_a_text", "vectors", ["text"])
