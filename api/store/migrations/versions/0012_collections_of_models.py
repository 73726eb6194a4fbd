"""A model may have a collection from which it answers clients that know only its name."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    """The models of before have none."""
    op.add_column("models", sa.Column("collection", sa.String, nullable=False, server_default=""))
