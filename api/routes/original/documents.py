"""importDocument, list_documents, documents/{id}, delete_document, deleteAll_Documents."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from api.documents.collections import Owner
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, Upload, request_model
from api.http.request_body import invalid
from api.routes.original.document_answers import (
    MESSAGES,
    DocumentResponse,
    message_of,
    response_of,
)
from api.routes.original.fields import MODEL_NAME, Name

router = APIRouter(tags=["documents"])

MAX_PASSWORD_CHARACTERS = 1_000
FILES = {"file": "The document: PDF, DOCX, PPTX, XLSX, HTML, Markdown, text, CSV or EPUB."}


class OwnerRequest(BaseModel):
    """Whose documents."""

    model_config = ConfigDict(extra="forbid")

    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model the documents belong to; this or `collection`.",
        examples=["demo"],
    )
    collection: Name = Field(
        "",
        description="A collection, by name or id, in the place of the model.",
        examples=["handbooks"],
    )

    def owner(self, *, required: bool = True) -> Owner:
        """Whose documents are meant: one of the two."""
        if self.collection and self.model_name:
            raise invalid("collection", "It stands in the place of `modelName`: give one of them.")
        if required and not (self.collection or self.model_name):
            raise invalid(
                "modelName", "Required, but not given; `collection` may stand in its place."
            )
        return Owner(self.model_name, self.collection)

    @property
    def given(self) -> str:
        """What they were asked for by."""
        return self.collection or self.model_name


class ListDocumentsRequest(OwnerRequest):
    """Which part of the list."""

    limit: int | None = Field(
        None, ge=1, le=10_000, description="Most documents to list; all when left out."
    )
    after: Name | None = Field(
        None,
        description="Go on after this document: its id, or its name, of which a model's and one for all can have "
        "the same.",
    )


class ImportRequest(OwnerRequest):
    """What comes for one model or collection, or for all models."""

    model_name: Name = Field(
        "",
        validation_alias=MODEL_NAME,
        description="The model that can be asked about it; all models when left out.",
        examples=["demo"],
    )
    wait: bool = Field(
        True, description="Answer when it can be searched; `false` answers 202 at once."
    )
    replace: bool = Field(
        False,
        description="A document of that name that has other bytes becomes this one and keeps its id; it is found as it "
        "was until this one is ready.",
    )


class ImportDocumentRequest(ImportRequest):
    """A document for one model or collection, or for all models."""

    password: SecretStr = Field(
        SecretStr(""),
        max_length=MAX_PASSWORD_CHARACTERS,
        description="What opens the PDF. It is kept nowhere, so it goes with `wait=true` alone.",
    )

    @property
    def secret(self) -> str:
        """The password, of an import that is waited for."""
        if self.password and not self.wait:
            raise invalid(
                "password",
                "It is kept nowhere, so the import must be waited for: leave `wait` out.",
            )
        return self.password.get_secret_value()


class DeleteDocumentRequest(OwnerRequest):
    """Which document."""

    document: Name = Field(
        description="Its name or id. A name without its ending means the PDF, else the only document of it.",
        examples=["handbook"],
    )


class DocumentSummary(BaseModel):
    """A document that can be searched."""

    id: str
    name: str
    pages: int
    sha256: str
    created_at: str


class ListDocumentsResponse(BaseModel):
    """The names (of PDFs without `.pdf`) under `Imported Documents for NAME`, and more of each; `has_more` comes
    with `limit`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[str]] = Field(init=False)

    documents: list[DocumentSummary]
    has_more: bool | None = Field(
        None, description="Whether the list goes on behind its last document."
    )


class DeleteDocumentResponse(BaseModel):
    """What was deleted."""

    message: str
    learned_by: list[str] = Field(
        description="Models that learned its pages; they keep what they know."
    )


class DeleteAllDocumentsResponse(BaseModel):
    """The names of the documents that were deleted."""

    Message: str
    deleted: list[str]
    learned_by: list[str] = Field(description="Models that learned pages of these documents.")


@router.post(
    "/importDocument",
    operation_id="import_document",
    status_code=201,
    summary="Import a document",
    responses=problems(404, 408, 409, 413, 415, 422, 507)
    | {
        200: {
            "model": DocumentResponse,
            "description": "The same bytes are there already, or they have replaced the older ones (`replace=true`).",
        },
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
    """Text, chunks and vectors of a document, so that `generate` can answer from it and cite its pages."""
    values, upload = request.values, request.files["file"]
    imported = await services.collections.import_document(
        values.owner(required=False),
        upload.file,
        upload.filename or "",
        wait=values.wait,
        password=values.secret,
        replace=values.replace,
    )
    if imported.is_coming:
        response.status_code = 202
    elif imported.is_newer or not imported.is_new:
        response.status_code = 200
    response.headers["Location"] = f"/documents/{imported.document.id}"
    return response_of(imported.document, message_of(imported), imported.replacement)


@router.get(
    "/list_documents",
    operation_id="list_documents",
    summary="List the documents of a model",
    response_model=ListDocumentsResponse,
    responses=problems(404, 422),
    openapi_extra=documented(ListDocumentsRequest),
)
async def list_documents(
    request: Annotated[ListDocumentsRequest, Depends(request_model(ListDocumentsRequest))],
    services: ServicesDep,
) -> JSONResponse:
    """The documents that can be searched, by name; `documents` tells more of each. Cut only by `limit`."""
    documents, has_more = await services.collections.documents(
        request.owner(), limit=request.limit, after=request.after
    )
    names = [document.name.removesuffix(".pdf") for document in documents]
    summaries = [
        DocumentSummary(
            id=d.id, name=d.name, pages=d.pages_total, sha256=d.sha256, created_at=d.created_at
        )
        for d in documents
    ]
    answer: dict[str, Any] = {  # the customer's key stands first
        f"Imported Documents for {request.given}": names,
        "documents": [summary.model_dump() for summary in summaries],
    }
    if request.limit is not None:
        answer["has_more"] = has_more
    return JSONResponse(answer)


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
    """`status` is importing, ready or failed; `pages_done` counts up to `pages_total`. `replacement` says the same of a
    newer version that is to take its place.
    """
    document = await services.collections.document(document_id)
    coming = await services.collections.replacement(document_id)
    return response_of(document, MESSAGES[document.status].format(document.name), coming)


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
) -> DeleteDocumentResponse:
    """The model's own document, else the one for all models. From the answer on nobody finds it."""
    document = await services.collections.delete_document(request.owner(), request.document)
    return DeleteDocumentResponse(
        message=f"Successfully deleted {document.name} of {request.given}",
        learned_by=await services.models.learned_from(document.id, document.sha256),
    )


@router.delete(
    "/deleteAll_Documents",
    operation_id="delete_all_documents",
    summary="Delete all documents of a model",
    responses=problems(404, 422),
    openapi_extra=documented(OwnerRequest),
)
async def delete_all_documents(
    request: Annotated[OwnerRequest, Depends(request_model(OwnerRequest))],
    services: ServicesDep,
) -> DeleteAllDocumentsResponse:
    """Also when there were none; documents for all models stay."""
    deleted = await services.collections.delete_all(request.owner())
    return DeleteAllDocumentsResponse(
        Message=f"Successfully deleted all documents of {request.given}",
        deleted=[document.name for document in deleted],
        learned_by=await services.models.learned_from(
            *(told for document in deleted for told in (document.id, document.sha256))
        ),
    )
