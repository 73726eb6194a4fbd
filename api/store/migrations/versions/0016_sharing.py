"""Models and collections of the first workspace can be shared with all; lists of collections are read in order."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Nothing is shared that was not."""
    for table in ("collections", "models"):
        op.add_column(
            table, sa.Column("shared", sa.Boolean, nullable=False, server_default=sa.false())
        )
    op.create_index("collections_by_name", "collections", ["name_key"])
    op.create_index("collections_in_order", "collections", ["created_at", "id"])
