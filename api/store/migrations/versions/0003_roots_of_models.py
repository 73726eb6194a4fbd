"""The base model below each persona and fine-tune, found by walking down what it was built on."""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; a model that was replaced over itself has lost its root."""
    op.add_column("models", sa.Column("root", sa.String, nullable=False, server_default=""))
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT key, kind, base FROM models")).all()
    bases = {row.key: row.base for row in rows}
    for row in rows:
        root = row.base if row.kind == "fine-tune" else _root(row.key, bases)
        connection.execute(
            sa.text("UPDATE models SET root = :root WHERE key = :key"),
            {"root": root, "key": row.key},
        )


def _root(key: str, bases: Mapping[str, str]) -> str:
    seen, name = set[str](), key
    while (below := name.lower().removesuffix(":latest")) in bases:
        if below in seen:
            return ""
        seen.add(below)
        name = bases[below]
    return name
