"""importDocuments: many documents by one request, with a report of each."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from api.documents.collections import Imported
from api.documents.many import Outcome, import_many
from api.errors import ApiError
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, Upload, request_model
from api.routes.original.document_answers import DocumentResponse, message_of, response_of
from api.routes.original.documents import ImportRequest

router = APIRouter(tags=["documents"])

MOST_PARTS = 100
Result = Literal["imported", "importing", "replaced", "unchanged", "failed"]
STATUS: Mapping[Result, int] = {"failed": 207, "importing": 202, "imported": 201}
"""Of all by the first of these ends that one of them came to; 200 where none did."""
FILES = {"file": "The documents, each a part of this name; a ZIP file is opened."}


class FileReport(BaseModel):
    """What became of one file."""

    file: str = Field(description="Its name as it came, in a ZIP file with its folders.")
    result: Result
    document: DocumentResponse | None = None
    error: dict[str, Any] | None = Field(
        None, description="Why there is no document: what the file alone would have been answered."
    )


class ImportDocumentsResponse(BaseModel):
    """How many came to what end, and a report of each file, in their order."""

    Message: str
    counts: dict[Result, int]
    documents: list[FileReport]


@router.post(
    "/importDocuments",
    operation_id="import_documents",
    status_code=201,
    summary="Import many documents",
    responses=problems(404, 408, 413, 415, 422, 507)
    | {
        200: {
            "model": ImportDocumentsResponse,
            "description": "All of them are there already, or have replaced older ones.",
        },
        202: {
            "model": ImportDocumentsResponse,
            "description": "Some are being imported (`wait=false`); `GET /documents/{id}` says how far each is.",
        },
        207: {
            "model": ImportDocumentsResponse,
            "description": "Some, or all, could not be imported; the others were.",
        },
    },
    openapi_extra=documented(ImportRequest, files=FILES, most_files=MOST_PARTS),
)
async def import_documents(
    request: Annotated[
        Upload[ImportRequest],
        Depends(request_model(ImportRequest, files=FILES, most_files=MOST_PARTS)),
    ],
    services: ServicesDep,
    response: Response,
) -> ImportDocumentsResponse:
    """Files side by side and ZIP files of files. One that cannot be imported keeps no other from it."""
    outcomes = await import_many(
        services.collections,
        request.values.owner(required=False),
        [(upload.file, upload.filename or "") for upload in request.all],
        wait=request.values.wait,
        replace=request.values.replace,
        most_bytes=services.settings.max_upload_bytes,
    )
    reports = [_report(one) for one in outcomes]
    counts = Counter(one.result for one in reports)
    response.status_code = next((code for end, code in STATUS.items() if counts[end]), 200)
    return ImportDocumentsResponse(
        Message=", ".join(f"{count} {end}" for end, count in counts.items()),
        counts=dict(counts),
        documents=reports,
    )


def _report(outcome: Outcome) -> FileReport:
    result = outcome.result
    if isinstance(result, ApiError):
        return FileReport(file=outcome.file, result="failed", error=result.as_problem())
    document = response_of(result.document, message_of(result), result.replacement)
    return FileReport(file=outcome.file, result=_end(result), document=document)


def _end(imported: Imported) -> Result:
    if imported.is_coming:
        return "importing"
    if imported.is_newer:
        return "replaced"
    return "imported" if imported.is_new else "unchanged"
