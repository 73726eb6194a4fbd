"""Keys of several callers, and what was used with each."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """There are none yet."""
    op.create_table(
        "keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("workspace", sa.String, nullable=False, server_default="default"),
        sa.Column("hash", sa.String, nullable=False, unique=True),
        sa.Column("prefix", sa.String, nullable=False),
        sa.Column("last_four", sa.String, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON),
        sa.Column("expires_at", sa.String),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.Integer),
        sa.Column("parallel_requests", sa.Integer),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("last_used_at", sa.String),
        sa.Column("former_hash", sa.String),
        sa.Column("former_until", sa.String),
    )
    op.create_table(
        "usage",
        sa.Column("key_id", sa.String, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("day", sa.String, primary_key=True),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("workspace", sa.String, nullable=False, server_default="default"),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
    )
    op.create_index("usage_by_day", "usage", ["day"])
