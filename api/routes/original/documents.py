"""importDocument, list_documents, documents/{id}, delete_document, deleteAll_Documents."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Response
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from api.documents.receiving import receive
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, Upload, request_model
from api.names import MAX_NAME_CHARACTERS
from api.services import Services
from api.store.documents import Document

router = APIRouter(tags=["documents"])

FILES = {"file": "The PDF."}
_NAME = AliasChoices("modelName", "model_name")


class ForModelRequest(BaseModel):
    """Whose documents."""

    model_config = ConfigDict(extra="forbid")

    model_name: str = Field(
        validation_alias=_NAME,
        max_length=MAX_NAME_CHARACTERS,
        description="The model the documents belong to.",
        examples=["demo"],
    )


class ImportDocumentRequest(BaseModel):
    """A PDF for one model, or for all."""

    model_config = ConfigDict(extra="forbid")

    model_name: str = Field(
        "",
        validation_alias=_NAME,
        max_length=MAX_NAME_CHARACTERS,
        description="The model that can be asked about it; all models when left out.",
        examples=["demo"],
    )
    wait: bool = Field(
        True, description="Answer when it can be searched; `false` answers 202 at once."
    )


class DeleteDocumentRequest(ForModelRequest):
    """Which document."""

    document: str = Field(
        max_length=MAX_NAME_CHARACTERS,
        description="Its name, with or without `.pdf`, or its id.",
        examples=["handbook"],
    )


class DocumentResponse(BaseModel):
    """One document and how far its import is."""

    Message: str
    id: str
    name: str
    status: str
    pages_total: int
    pages_done: int
    pages_unreadable: list[int]
    size_bytes: int
    sha256: str
    created_at: str
    error: dict[str, Any] | None = None


@router.post(
    "/importDocument",
    operation_id="import_document",
    status_code=201,
    summary="Import a PDF",
    responses=problems(404, 408, 409, 413, 415, 422, 507)
    | {
        200: {"model": DocumentResponse, "description": "The same bytes are there already."},
        202: {"model": DocumentResponse, "description": "Being imported (`wait=false`)."},
    },
    openapi_extra=documented(ImportDocumentRequest, files=FILES),
)
async def import_document(
    request: Annotated[
        Upload[ImportDocumentRequest],
        Depends(request_model(ImportDocumentRequest, files=FILES)),
    ],
    services: ServicesDep,
    response: Response,
) -> DocumentResponse:
    """Text, chunks and vectors of a PDF, so that `generate` can answer from it and cite its pages."""
    values = request.values
    services.bundled.require(services.settings.embedding_model)
    if values.model_name:
        await services.models.require_chat(values.model_name)
    upload = request.files["file"]
    received = await receive(upload.file, upload.filename or "", services.settings.uploads_dir)
    document, is_new = await services.importer.import_document(
        received.path,
        received.name,
        values.model_name,
        received.sha256,
        received.size_bytes,
        wait=values.wait,
    )
    if document.status == "importing":
        response.status_code = 202
    elif not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/documents/{document.id}"
    return _response(document, is_new=is_new)


@router.get(
    "/list_documents",
    operation_id="list_documents",
    summary="List the documents of a model",
    responses=problems(404, 422),
    openapi_extra=documented(ForModelRequest),
)
async def list_documents(
    request: Annotated[ForModelRequest, Depends(request_model(ForModelRequest))],
    services: ServicesDep,
) -> dict[str, Any]:
    """The documents that can be searched, by name; `documents` tells more of each."""
    documents = await _documents_of(services, request.model_name)
    return {
        f"Imported Documents for {request.model_name}": [
            document.name.removesuffix(".pdf") for document in documents
        ],
        "documents": [
            {"id": d.id, "name": d.name, "pages": d.pages_total, "created_at": d.created_at}
            for d in documents
        ],
    }


@router.get(
    "/documents/{document_id}",
    operation_id="get_document",
    summary="One document and how far its import is",
    responses=problems(404, 422),
)
async def get_document(
    document_id: Annotated[
        str, Path(description="The document's id.", examples=["doc_0123456789abcdef"])
    ],
    services: ServicesDep,
) -> DocumentResponse:
    """`status` is importing, ready or failed; `pages_done` counts up to `pages_total`."""
    document = await anyio.to_thread.run_sync(services.store.documents.get, document_id)
    return _response(document, is_new=False)


@router.delete(
    "/delete_document",
    operation_id="delete_document",
    summary="Delete a document",
    responses=problems(404, 422),
    openapi_extra=documented(DeleteDocumentRequest),
)
async def delete_document(
    request: Annotated[DeleteDocumentRequest, Depends(request_model(DeleteDocumentRequest))],
    services: ServicesDep,
) -> dict[str, str]:
    """The model's own document, else the one for all models. From the answer on nobody finds it."""
    document = await services.deleter.delete_document(request.model_name, request.document)
    return {"message": f"Successfully deleted {document.name} of {request.model_name}"}


@router.delete(
    "/deleteAll_Documents",
    operation_id="delete_all_documents",
    summary="Delete all documents of a model",
    responses=problems(404, 422),
    openapi_extra=documented(ForModelRequest),
)
async def delete_all_documents(
    request: Annotated[ForModelRequest, Depends(request_model(ForModelRequest))],
    services: ServicesDep,
) -> dict[str, Any]:
    """Also when there were none; documents for all models stay."""
    await _documents_of(services, request.model_name)
    deleted = await services.deleter.delete_all(request.model_name)
    return {
        "Message": f"Successfully deleted all documents of {request.model_name}",
        "deleted": [document.name for document in deleted],
    }


async def _documents_of(services: Services, model_name: str) -> list[Document]:
    """Its documents; 404 when there is neither a model nor a document of that name."""
    documents = await anyio.to_thread.run_sync(services.store.documents.of_model, model_name)
    if not any(document.model for document in documents):
        await services.models.require_chat(model_name)
    return documents


def _response(document: Document, *, is_new: bool) -> DocumentResponse:
    messages = {
        "importing": f"{document.name} is being imported",
        "failed": f"{document.name} could not be imported",
        "ready": f"Successfully imported {document.name}"
        if is_new
        else f"{document.name} is imported",
    }
    return DocumentResponse(
        Message=messages[document.status],
        id=document.id,
        name=document.name,
        status=document.status,
        pages_total=document.pages_total,
        pages_done=document.pages_done,
        pages_unreadable=document.pages_unreadable,
        size_bytes=document.size_bytes,
        sha256=document.sha256,
        created_at=document.created_at,
        error=document.error,
    )
