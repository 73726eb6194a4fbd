"""What a model learned from and what was said against it, and which jobs come first."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Models without lineage and jobs of equal rank."""
    op.add_column("models", sa.Column("lineage", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("models", sa.Column("warning", sa.Text, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.drop_index("jobs_in_order", "jobs")
    op.create_index("jobs_in_order", "jobs", ["status", sa.text("priority DESC"), "queued_at"])
