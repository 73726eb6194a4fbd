"""What a document is, in which language, what was left out of it, and where the text of a page stands."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Documents of before are PDFs of which only the text is known."""
    op.add_column("contents", sa.Column("kind", sa.String, nullable=False, server_default="pdf"))
    op.add_column("contents", sa.Column("language", sa.String, nullable=False, server_default=""))
    op.add_column("contents", sa.Column("notices", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("pages", sa.Column("label", sa.Text, nullable=False, server_default=""))
    op.add_column(
        "pages", sa.Column("recognised", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("pages", sa.Column("layout", sa.JSON))
