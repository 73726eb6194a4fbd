"""What a response takes is known, and an item is found by its id within a workspace, the latest first."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
SIZE = (
    "length(response) + (SELECT coalesce(sum(length(item) + 200), 0) FROM response_items "
    "WHERE response_id = responses.id)"
)


def upgrade() -> None:
    """The sizes of those that are kept are counted."""
    op.add_column(
        "responses", sa.Column("size_bytes", sa.Integer, nullable=False, server_default="0")
    )
    op.execute(f"UPDATE responses SET size_bytes = {SIZE}")  # noqa: S608  two constants
    op.drop_index("responses_by_use", "responses")
    op.create_index("responses_by_use", "responses", ["workspace", "used_at", "size_bytes"])
    op.add_column(
        "response_items",
        sa.Column("workspace", sa.String, nullable=False, server_default="default"),
    )
    op.add_column(
        "response_items", sa.Column("made_at", sa.Float, nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE response_items SET (workspace, made_at) = "
        "(SELECT workspace, made_at FROM responses WHERE responses.id = response_id)"
    )
    op.drop_index("items_by_id", "response_items")
    op.create_index("items_by_id", "response_items", ["workspace", "item_id", "made_at"])
