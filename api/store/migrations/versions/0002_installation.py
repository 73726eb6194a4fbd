"""Which installation this is, and how many files each folder has been given."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; the next start fills it."""
    op.create_table(
        "installation",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("documents", sa.Integer),
        sa.Column("jobs", sa.Integer),
        sa.Column("models", sa.Integer),
    )
