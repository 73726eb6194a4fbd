"""Responses are kept, so that a conversation can go on by the id of its last one."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    """None were kept before."""
    op.create_table(
        "responses",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("workspace", sa.String, nullable=False, server_default="default"),
        sa.Column("previous", sa.String, nullable=False, server_default=""),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
        sa.Column("response", sa.JSON, nullable=False),
    )
    op.create_index("responses_by_use", "responses", ["workspace", "used_at"])
    op.create_table(
        "response_items",
        sa.Column(
            "response_id",
            sa.String,
            sa.ForeignKey("responses.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("item_id", sa.String, nullable=False),
        sa.Column("is_output", sa.Boolean, nullable=False),
        sa.Column("item", sa.JSON, nullable=False),
    )
    op.create_index("items_by_id", "response_items", ["item_id"])
