"""/v1/uploads, /v1/uploads/{upload_id}/parts, .../complete, .../cancel: files that come in parts."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.files.files import MAX_NAME_CHARACTERS, Sent
from api.files.uploads import MOST_PART_BYTES, MOST_PARTS
from api.files.uploads import Upload as FileUpload
from api.http.openai_errors import PREFIX
from api.http.request import CallerDep, ServicesDep, Upload
from api.routes.openai.body import json_body
from api.routes.openai.files import ExpiresAfter, file_object, require_purpose
from api.routes.openai.forms import form_body

router = APIRouter(prefix=PREFIX + "/uploads")

FIELD = "data"


class UploadRequest(BaseModel):
    """What is to come. Its type is told by its name, as that of any file."""

    bytes: int = Field(ge=1)
    filename: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    mime_type: str = Field(max_length=MAX_NAME_CHARACTERS)
    purpose: Sent
    expires_after: ExpiresAfter | None = None


class PartRequest(BaseModel):
    """Nothing beside the bytes."""


class CompleteRequest(BaseModel):
    """Which parts, in their order, and the MD5 sum of the whole file in hexadecimal digits."""

    part_ids: list[str] = Field(min_length=1, max_length=MOST_PARTS)
    md5: str | None = Field(None, max_length=MAX_NAME_CHARACTERS)


@router.post("", operation_id="createUpload")
async def create(
    request: Annotated[UploadRequest, Depends(json_body(UploadRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """Begin a file."""
    require_purpose(caller, request.purpose)
    after = request.expires_after
    begun = await services.uploads.begin(
        request.filename,
        request.purpose,
        request.bytes,
        expires_after_seconds=after.seconds if after else None,
    )
    return _object(begun)


@router.post("/{upload_id}/parts", operation_id="addUploadPart")
async def add_part(
    upload_id: str,
    request: Annotated[
        Upload[PartRequest], Depends(form_body(PartRequest, FIELD, most_bytes=MOST_PART_BYTES))
    ],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """Some of its bytes; the order is said in the end."""
    require_purpose(caller, (await services.uploads.get(upload_id)).purpose)
    part = await services.uploads.add(upload_id, request.files[FIELD].file)
    return {
        "id": part.id,
        "object": "upload.part",
        "created_at": int(part.created_at.timestamp()),
        "upload_id": upload_id,
    }


@router.post("/{upload_id}/complete", operation_id="completeUpload")
async def complete(
    upload_id: str,
    request: Annotated[CompleteRequest, Depends(json_body(CompleteRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """The file, which is taken in as one that is sent whole."""
    require_purpose(caller, (await services.uploads.get(upload_id)).purpose)
    return _object(await services.uploads.complete(upload_id, request.part_ids, request.md5))


@router.post("/{upload_id}/cancel", operation_id="cancelUpload")
async def cancel(upload_id: str, services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """Forget what has come."""
    require_purpose(caller, (await services.uploads.get(upload_id)).purpose)
    return _object(await services.uploads.cancel(upload_id))


def _object(upload: FileUpload) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size_bytes,
        "created_at": int(upload.created_at.timestamp()),
        "expires_at": int(upload.expires_at.timestamp()),
        "filename": upload.name,
        "purpose": upload.purpose,
        "status": upload.status,
    }
    return told | ({"file": file_object(upload.file)} if upload.file else {})
