"""The schema as it is now. `migrations/` brings older files here; a test compares the two.

collections --< documents >-- contents --< pages
            |       |             |------< chunks --< vectors (one an embedder)
            |---< collection_files (a document's files, and what is to become one)
responses --< response_items
back_ends --< remote_models (`backends.py`)
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    or_,
    text,
    true,
)

from api.names import WORKSPACE

metadata = MetaData()


def _workspace() -> Column[str]:
    return Column("workspace", String, nullable=False, server_default=WORKSPACE)


def _shared() -> Column[bool]:
    return Column("shared", Boolean, nullable=False, server_default=false())


collections = Table(
    "collections",
    metadata,
    Column("id", String, primary_key=True),
    _workspace(),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("embedder", String, nullable=False, server_default=""),
    Column("status", String, nullable=False, server_default="ready"),
    Column("created_at", String, nullable=False),
    Column("query_template", Text),
    Column("passage_template", Text),
    Column("title", Text),
    Column("metadata", JSON, nullable=False, server_default="{}"),
    Column("expires_after_days", Integer),
    Column("last_active_at", String),
    _shared(),
    Index("collections_by_name", "name_key"),
    Index("collections_in_order", "created_at", "id"),
)
STANDS = text("status = 'ready'")
IS_FOUND = collections.c.status == "ready"
Index(
    "one_collection_a_name",
    collections.c.workspace,
    collections.c.name_key,
    unique=True,
    sqlite_where=STANDS,
    postgresql_where=STANDS,
)

contents = Table(
    "contents",
    metadata,
    Column("id", String, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("pages_total", Integer, nullable=False, server_default="0"),
    Column("pages_done", Integer, nullable=False, server_default="0"),
    Column("pages_unreadable", JSON, nullable=False, server_default="[]"),
    Column("embedder", String, nullable=False, server_default=""),
    _workspace(),
    Column("kind", String, nullable=False, server_default="pdf"),
    Column("language", String, nullable=False, server_default=""),
    Column("notices", JSON, nullable=False, server_default="[]"),
)
Index("contents_by_hash", contents.c.workspace, contents.c.sha256)

documents = Table(
    "documents",
    metadata,
    Column("id", String, primary_key=True),
    _workspace(),
    Column("collection_id", String, ForeignKey("collections.id"), nullable=False),
    Column("content_id", String, ForeignKey("contents.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("error", JSON),
    Column("embedder", String, nullable=False, server_default=""),
    Column("created_at", String, nullable=False),
    Column("replaces", String, nullable=False, server_default=""),
)
IS_LIVE = documents.c.status.in_(("importing", "ready"))
IS_KEPT = documents.c.status.in_(("importing", "ready", "embedding", "standby"))
"""Its file, its chunks and its vectors stay: it is live, or is embedded beside one that is."""
STANDS_ALONE = documents.c.replaces == ""
IN_COLLECTION = documents.c.collection_id.concat("")
"""A document's collection, for queries that begin with some chunks: SQLite would rather walk through all that is in
the collection, by its index.
"""
HAS_ITS_PLACE = text("status IN ('importing', 'ready') AND replaces = ''")
Index(
    "one_live_document_a_name",
    documents.c.collection_id,
    documents.c.name_key,
    unique=True,
    sqlite_where=HAS_ITS_PLACE,
    postgresql_where=HAS_ITS_PLACE,
)
Index(
    "one_live_document_a_content",
    documents.c.collection_id,
    documents.c.content_id,
    unique=True,
    sqlite_where=HAS_ITS_PLACE,
    postgresql_where=HAS_ITS_PLACE,
)
Index("documents_in_a_collection", documents.c.collection_id, documents.c.name, documents.c.id)
Index("documents_of_a_content", documents.c.content_id)
Index("documents_that_replace", documents.c.replaces)

collection_files = Table(
    "collection_files",
    metadata,
    Column(
        "collection_id", String, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("file_id", String, primary_key=True),
    Column("document_id", String, ForeignKey("documents.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("attributes", JSON, nullable=False, server_default="{}"),
    Column("error", JSON(none_as_null=True)),
    Column("created_at", String, nullable=False),
    Column("kept_until", String),
    Index("files_of_a_document", "document_id"),
    Index("files_by_status", "status", "created_at"),
    Index("collections_of_a_file", "file_id"),
    Index("files_by_end", "kept_until"),
)

file_batches = Table(
    "file_batches",
    metadata,
    Column("id", String, primary_key=True),
    Column(
        "collection_id", String, ForeignKey("collections.id", ondelete="CASCADE"), nullable=False
    ),
    Column("file_ids", JSON, nullable=False),
    Column("is_cancelled", Boolean, nullable=False, server_default=false()),
    Column("created_at", String, nullable=False),
    Index("batches_of_a_collection", "collection_id"),
)

pages = Table(
    "pages",
    metadata,
    Column("content_id", String, ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("label", Text, nullable=False, server_default=""),
    Column("recognised", Boolean, nullable=False, server_default=false()),
    Column("layout", JSON),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("content_id", String, ForeignKey("contents.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("page", Integer, nullable=False),
    Column("heading", Text, nullable=False, server_default=""),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Index("chunks_of_a_content", "content_id", "ordinal", unique=True),
    sqlite_autoincrement=True,  # an id is never given twice: Chroma and tantivy may still hold it
)

vectors = Table(
    "vectors",
    metadata,
    Column("chunk_id", Integer, ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True),
    Column("embedder", String, primary_key=True),
    Column("vector", LargeBinary, nullable=False),
    Column("text", LargeBinary),  # what was embedded, by its hash
    Index("vectors_of_a_text", "text"),
)

reembeddings = Table(
    "reembeddings",
    metadata,
    Column(
        "collection_id", String, ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("embedder", String, nullable=False),
    Column("previous", String, nullable=False),
    Column("status", String, nullable=False),
    Column("reread", Boolean, nullable=False),
    Column("templates", JSON),
    Column("previous_templates", JSON),
    Column("error", JSON),
    Column("started_at", String, nullable=False),
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
    _workspace(),
    Column("lineage", JSON, nullable=False, server_default="{}"),
    Column("warning", Text, nullable=False, server_default=""),
    Column("collection", String, nullable=False, server_default=""),
    _shared(),
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
    _workspace(),
    Column("priority", Integer, nullable=False, server_default="0"),
)
Index("jobs_in_order", jobs.c.status, jobs.c.priority.desc(), jobs.c.queued_at)

installation = Table(  # one row
    "installation",
    metadata,
    Column("id", String, primary_key=True),
    Column("documents", Integer),
    Column("jobs", Integer),
    Column("models", Integer),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("alias", Text, nullable=False),
    _workspace(),
    Column("hash", String, nullable=False, unique=True),
    Column("prefix", String, nullable=False),
    Column("last_four", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("models", JSON(none_as_null=True)),
    Column("expires_at", String),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("parallel_requests", Integer),
    Column("blocked", Boolean, nullable=False),
    Column("created_at", String, nullable=False),
    Column("last_used_at", String),
    Column("former_hash", String),
    Column("former_until", String),
)

usage = Table(  # outlives its key
    "usage",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("day", String, primary_key=True),
    Column("alias", Text, nullable=False),
    _workspace(),
    Column("requests", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
)
Index("usage_by_day", usage.c.day)

responses = Table(
    "responses",
    metadata,
    Column("id", String, primary_key=True),
    _workspace(),
    Column("previous", String, nullable=False, server_default=""),
    Column("made_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
    Column("response", JSON, nullable=False),
    Column("size_bytes", Integer, nullable=False, server_default="0"),
    Index("responses_by_use", "workspace", "used_at", "size_bytes"),
)

response_items = Table(
    "response_items",
    metadata,
    Column("response_id", String, ForeignKey("responses.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("item_id", String, nullable=False),
    Column("is_output", Boolean, nullable=False),
    Column("item", JSON, nullable=False),
    _workspace(),
    Column("made_at", Float, nullable=False, server_default="0"),
    Index("items_by_id", "workspace", "item_id", "made_at"),
)


def within(table: Table, workspace: str | None) -> ColumnElement[bool]:
    """The rows of that workspace; without one, of each."""
    return true() if workspace is None else table.c.workspace == workspace


def seen_by(table: Table, workspace: str | None) -> ColumnElement[bool]:
    """The same with what is shared with all workspaces."""
    return true() if workspace is None else or_(table.c.workspace == workspace, table.c.shared)
