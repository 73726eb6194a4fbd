"""The schema as it is now. `migrations/` brings older files here; a test compares the two."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

documents = Table(
    "documents",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("model", String, nullable=False, server_default=""),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("error", JSON),
    Column("title", Text, nullable=False, server_default=""),
    Column("pages_total", Integer, nullable=False, server_default="0"),
    Column("pages_done", Integer, nullable=False, server_default="0"),
    Column("pages_unreadable", JSON, nullable=False, server_default="[]"),
    Column("embedder", String, nullable=False, server_default=""),
    Column("created_at", String, nullable=False),
)
LIVE = text("status IN ('importing', 'ready')")
Index(
    "one_live_document_a_name",
    documents.c.model,
    documents.c.name_key,
    unique=True,
    sqlite_where=LIVE,
    postgresql_where=LIVE,
)
Index(
    "one_live_document_a_content",
    documents.c.model,
    documents.c.sha256,
    unique=True,
    sqlite_where=LIVE,
    postgresql_where=LIVE,
)

pages = Table(
    "pages",
    metadata,
    Column("document_id", String, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", Text, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("document_id", String, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("page", Integer, nullable=False),
    Column("heading", Text, nullable=False, server_default=""),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("vector", LargeBinary),
    Index("chunks_of_a_document", "document_id", "ordinal", unique=True),
    sqlite_autoincrement=True,  # an id is never given twice: Chroma and tantivy may still hold it
)

changes = Table(
    "changes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("document_id", String, nullable=False),
    sqlite_autoincrement=True,
)

models = Table(
    "models",
    metadata,
    Column("key", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("base", String, nullable=False, server_default=""),
    Column("job_id", String, nullable=False, server_default=""),
    Column("created_at", String, nullable=False),
    Column("root", String, nullable=False, server_default=""),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("model_name", String, nullable=False),
    Column("base_model", String, nullable=False),
    Column("status", String, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("error", JSON),
    Column("gate", JSON),
    Column("created_at", String, nullable=False),
    Column("started_at", String),
    Column("ended_at", String),
    Column("queued_at", Float, nullable=False),
)
Index("jobs_in_order", jobs.c.status, jobs.c.queued_at)

installation = Table(  # one row
    "installation",
    metadata,
    Column("id", String, primary_key=True),
    Column("documents", Integer),
    Column("jobs", Integer),
    Column("models", Integer),
)
