"""One document, as its import and `documents/{id}` answer."""

from typing import Any

from pydantic import BaseModel, Field

from api.documents.collections import Imported
from api.store.documents import Document


class NoticeResponse(BaseModel):
    """Something of a document that was left out or changed."""

    code: str
    detail: str
    pages: list[int] = Field(description="On which pages; none stands for the whole document.")


class ReplacementResponse(BaseModel):
    """A newer version of a document: being imported, or why it could not be."""

    status: str
    sha256: str
    pages_total: int
    pages_done: int
    error: dict[str, Any] | None


class DocumentResponse(BaseModel):
    """One document and how far its import is."""

    Message: str
    id: str
    name: str
    kind: str = Field(description="pdf, docx, pptx, xlsx, html, md, txt, csv or epub.")
    collection: str = Field(description="The name of its collection; `*` is for all models.")
    status: str
    pages_total: int
    pages_done: int
    pages_unreadable: list[int]
    notices: list[NoticeResponse] = Field(description="What was left out or changed, and why.")
    language: str = Field(description="ISO 639-1, empty when it is not known.")
    embedder: str = Field(
        description="The embedding model that its collection has, with dimension, weights and templates once it "
        "is embedded: `bge-m3:1024@0123456789ab`."
    )
    size_bytes: int
    sha256: str
    created_at: str
    error: dict[str, Any] | None = None
    replacement: ReplacementResponse | None = Field(
        None, description="What is to take its place (`replace=true`); null when there is none."
    )


MESSAGES = {
    "importing": "{} is being imported",
    "failed": "{} could not be imported",
    "ready": "{} is imported",
}


def message_of(imported: Imported) -> str:
    """What an import came to."""
    document = imported.document
    if imported.is_newer:
        what = "A newer version of {} is being imported" if imported.is_coming else "Replaced {}"
        return what.format(document.name)
    if imported.is_new and document.status == "ready":
        return f"Successfully imported {document.name}"
    said = MESSAGES[document.status].format(document.name)
    if imported.has_other_name:
        return f"{imported.name} has the same bytes as {document.name} and was not added: {said}"
    return said


def response_of(document: Document, message: str, replacement: Document | None) -> DocumentResponse:
    """A document on the wire, with what is to take its place."""
    return DocumentResponse(
        Message=message,
        id=document.id,
        name=document.name,
        kind=document.kind,
        collection=document.collection,
        status=document.status,
        pages_total=document.pages_total,
        pages_done=document.pages_done,
        pages_unreadable=document.pages_unreadable,
        notices=[NoticeResponse(**notice) for notice in document.notices],
        language=document.language,
        embedder=document.embedder or document.collection_embedder,
        size_bytes=document.size_bytes,
        sha256=document.sha256,
        created_at=document.created_at,
        error=document.error,
        replacement=replacement
        and ReplacementResponse(
            status=replacement.status,
            sha256=replacement.sha256,
            pages_total=replacement.pages_total,
            pages_done=replacement.pages_done,
            error=replacement.error,
        ),
    )
