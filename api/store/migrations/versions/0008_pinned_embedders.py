"""A collection keeps the embedder that it has: the model, and what stands around its texts."""

import re
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

PLAIN = "{text}"


def upgrade() -> None:
    """Collections with documents keep the model that embedded them; texts stood alone until now."""
    for name in ("query_template", "passage_template"):
        op.add_column("collections", sa.Column(name, sa.Text))
    connection = op.get_bind()
    found: dict[str, Counter[str]] = {}
    rows = connection.execute(
        sa.text(
            "SELECT documents.collection_id, documents.embedder, contents.embedder AS cut_for, count(*) "
            "FROM documents JOIN contents ON contents.id = documents.content_id "
            "WHERE documents.status IN ('importing', 'ready') "
            "GROUP BY documents.collection_id, documents.embedder, contents.embedder"
        )
    )
    for collection, version, cut_for, number in rows:
        model = re.sub(r":\d+(@[^@]*)?$", "", version) or cut_for
        found.setdefault(collection, Counter())[model] += number
    pin = sa.text(
        "UPDATE collections SET query_template = :plain, passage_template = :plain, "
        "embedder = CASE embedder WHEN '' THEN :model ELSE embedder END WHERE id = :id"
    )
    for collection, models in found.items():
        model = models.most_common(1)[0][0]
        connection.execute(pin, {"plain": PLAIN, "model": model, "id": collection})
