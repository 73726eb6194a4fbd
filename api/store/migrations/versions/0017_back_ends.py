"""Models run on back ends beside the home runtime, under names of ours."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """There was none."""
    op.create_table(
        "back_ends",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
    )
    op.create_table(
        "remote_models",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column(
            "back_end",
            sa.String,
            sa.ForeignKey("back_ends.name", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("about", sa.JSON, nullable=False),
    )
    op.create_index("models_of_a_back_end", "remote_models", ["back_end"])
