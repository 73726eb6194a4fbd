"""Models have options, prompt templates and parameters of their back ends that our own rows keep."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """No model has any yet."""
    op.create_table(
        "model_defaults",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("about", sa.JSON, nullable=False),
    )
