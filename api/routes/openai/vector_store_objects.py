"""Vector stores, their files and batches as OpenAI's clients read them, and what they say when files come."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool

from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import refuse
from api.routes.openai.metadata import MOST_PAIRS, Key, Text
from api.settings import Settings
from api.store.collection_files import CollectionFile
from api.vector_stores.filters import Number
from api.vector_stores.values import STATUSES, Counts, FileBatch, Passage, VectorStore

SHORTEST_CHUNK, LONGEST_CHUNK = 100, 4096
"""Tokens that the clients' own type of a chunking strategy takes."""

Attributes = Annotated[dict[Key, StrictBool | Number | Text], Field(max_length=MOST_PAIRS)]
FileId = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class Auto(BaseModel):
    """Cut as this service does."""

    type: Literal["auto"]


class Sizes(BaseModel):
    """In tokens."""

    max_chunk_size_tokens: int = Field(ge=SHORTEST_CHUNK, le=LONGEST_CHUNK)
    chunk_overlap_tokens: int = Field(ge=0)


class Static(BaseModel):
    """Cut at these sizes."""

    type: Literal["static"]
    static: Sizes


Chunking = Annotated[Auto | Static, Field(discriminator="type")]


class FileRequest(BaseModel):
    """A file, and what is noted of it."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


def require_chunking(settings: Settings, chunking: Auto | Static | None, where: str = "") -> None:
    """A content is cut once for all stores that have it: a 400 unless that is what is asked for."""
    if not isinstance(chunking, Static):
        return
    longest, overlap = settings.chunk_tokens, settings.chunk_overlap_tokens
    asked = chunking.static
    if asked.max_chunk_size_tokens < longest or asked.chunk_overlap_tokens != overlap:
        raise refuse(
            f"{where}chunking_strategy",
            f"Every document is cut once, into chunks of at most {longest} tokens that share {overlap}. Leave it out, "
            f"or ask for at least {longest} with an overlap of {overlap}.",
        )


def store_object(store: VectorStore) -> dict[str, Any]:
    """A vector store; `collection` is what it is called on the other paths, `shared` stands where every workspace may
    search it.
    """
    days, expires_at = store.card.expires_after_days, store.card.expires_at
    told: dict[str, Any] = {
        "id": store.collection.id,
        "object": "vector_store",
        "created_at": _seconds(store.created_at),
        "name": store.card.title,
        "usage_bytes": store.usage_bytes,
        "file_counts": _counts(store.counts),
        "status": store.status,
        "last_active_at": _seconds(store.card.last_active_at),
        "metadata": store.card.metadata,
        "collection": store.collection.name,
    }
    if store.collection.shared:
        told["shared"] = True
    if days is not None and expires_at is not None:
        told["expires_after"] = {"anchor": "last_active_at", "days": days}
        told["expires_at"] = _seconds(expires_at)
    return told


def file_object(file: CollectionFile, settings: Settings) -> dict[str, Any]:
    """A file of a store, with the sizes that it is cut at; `document_id` is what it is on the other paths."""
    return {
        "id": file.file_id,
        "object": "vector_store.file",
        "created_at": _seconds(datetime.fromisoformat(file.created_at)),
        "vector_store_id": file.collection_id,
        "usage_bytes": file.size_bytes,
        "status": file.status,
        "last_error": _error(file.error) if file.status == "failed" else None,
        "attributes": file.attributes,
        "chunking_strategy": _chunking(settings),
        "filename": file.name,
        "document_id": file.document_id,
    }


def batch_object(found: FileBatch) -> dict[str, Any]:
    """A batch of files."""
    return {
        "id": found.batch.id,
        "object": "vector_store.files_batch",
        "created_at": _seconds(datetime.fromisoformat(found.batch.created_at)),
        "vector_store_id": found.batch.collection_id,
        "status": found.status,
        "file_counts": _counts(found.counts),
    }


def passage_object(found: Passage) -> dict[str, Any]:
    """A passage that was found: where it stands is told beside what the clients know."""
    hit, file = found
    return {
        "file_id": file.file_id,
        "filename": file.name,
        "score": hit.score,
        "attributes": file.attributes,
        "content": [{"type": "text", "text": hit.text}],
        "page": hit.page,
        "label": hit.label,
        "heading": hit.heading,
        "document_id": hit.document_id,
    }


def _counts(counts: Counts) -> dict[str, int]:
    told: dict[str, int] = {status: counts.get(status, 0) for status in STATUSES}
    return {**told, "total": sum(told.values())}


def _error(problem: Mapping[str, Any] | None) -> dict[str, str]:
    """Whose fault it is: the kind of the file, the file, or the service."""
    codes = {415: "unsupported_file", 422: "invalid_file"}
    problem = problem or {}
    code = codes.get(problem.get("status", 500), "server_error")
    return {"code": code, "message": str(problem.get("detail", "It failed."))}


def _chunking(settings: Settings) -> dict[str, Any]:
    longest, overlap = settings.chunk_tokens, settings.chunk_overlap_tokens
    if not SHORTEST_CHUNK <= longest <= LONGEST_CHUNK:
        return {"type": "other"}
    sizes = {"max_chunk_size_tokens": longest, "chunk_overlap_tokens": overlap}
    return {"type": "static", "static": sizes}


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
