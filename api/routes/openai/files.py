"""/v1/files, /v1/files/{file_id}, /v1/files/{file_id}/content: files, and datasets as files."""

from typing import Annotated, Any, Literal, get_args

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.auth.callers import Caller, Scope
from api.auth.refusals import ScopeMissing
from api.datasets.datasets import FIELD
from api.datasets.receiving import Upload as SentFile
from api.files.files import File, Purpose, Sent
from api.http.files import file_response
from api.http.openai_errors import PREFIX, openai_response
from api.http.request import CallerDep, ServicesDep, Upload, require_models
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Page, query
from api.routes.openai.forms import form_body
from api.routes.openai.pages import page

router = APIRouter(prefix=PREFIX + "/files")

MOST_FILES = 10_000
PURPOSES: tuple[str, ...] = tuple(one for part in get_args(Purpose) for one in get_args(part))
TRAINING = frozenset({"fine-tune", "fine-tune-results"})
"""What only a key that may train sees, as it alone sees datasets and jobs."""


class ExpiresAfter(BaseModel):
    """When a file goes by itself: an hour to thirty days after it came."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class FileRequest(BaseModel):
    """What a file is for; `base_model` is ours, and reads the rows of one to fine-tune on."""

    purpose: Sent
    expires_after: ExpiresAfter | None = None
    base_model: str | None = Field(None, min_length=1, max_length=MAX_NAME_CHARACTERS)


class FilesRequest(Page):
    """Which files: of one purpose where one is named."""

    limit: int = Field(MOST_FILES, ge=1, le=MOST_FILES)
    order: Literal["asc", "desc"] = "desc"
    purpose: Purpose | None = None


@router.post("", operation_id="createFile")
async def create(
    request: Annotated[Upload[FileRequest], Depends(form_body(FileRequest, FIELD))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """A file to fine-tune on is read to its end and refused with row and reason; the others are kept as they are."""
    values, sent = request.values, request.files[FIELD]
    require_purpose(caller, values.purpose)
    require_models(caller, values.base_model)
    received = await services.files.receive(
        SentFile(sent.file, sent.filename),
        values.purpose,
        base=values.base_model,
        expires_after_seconds=values.expires_after.seconds if values.expires_after else None,
    )
    return file_object(received)


@router.get("", operation_id="listFiles")
async def list_files(
    request: Annotated[FilesRequest, Depends(query(FilesRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """Those that the key may see."""
    if request.purpose:
        require_purpose(caller, request.purpose)
    wanted = [request.purpose] if request.purpose else PURPOSES
    seen = [one for one in wanted if caller.may(_scope_of(one))]
    found, has_more = await services.files.page(
        request.after, request.limit, order=request.order, purposes=seen
    )
    return page([file_object(one) for one in found], has_more)


@router.get("/{file_id}", operation_id="retrieveFile")
async def retrieve(file_id: str, services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """One file."""
    file = await services.files.get(file_id)
    require_purpose(caller, file.purpose)
    return file_object(file)


@router.delete("/{file_id}", operation_id="deleteFile")
async def delete(file_id: str, services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """Delete a file, and take it out of all vector stores; what else was made of it stays."""
    require_purpose(caller, (await services.files.get(file_id)).purpose)
    await services.vector_stores.files.remove_everywhere(file_id)
    gone = await services.files.delete(file_id)
    return {"id": gone.id, "object": "file", "deleted": True}


@router.get("/{file_id}/content", operation_id="downloadFile")
async def content(
    file_id: str, request: Request, services: ServicesDep, caller: CallerDep
) -> Response:
    """The bytes as they came; a broken download goes on with `Range`."""
    file = await services.files.get(file_id)
    require_purpose(caller, file.purpose)
    path = await run_sync(services.files.path, file.id)
    return file_response(
        request, str(path), file.name, file.size_bytes, file.sha256, openai_response
    )


def file_object(file: File) -> dict[str, Any]:
    """A file as the clients know it. What is here was looked at, so that it is `processed`."""
    told: dict[str, Any] = {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": int(file.created_at.timestamp()),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }
    if file.expires_at:
        told["expires_at"] = int(file.expires_at.timestamp())
    return told


def require_purpose(caller: Caller, purpose: str) -> None:
    """`errors.ScopeMissing` for a key that may not have to do with files of that purpose."""
    needed = _scope_of(purpose)
    if not caller.may(needed):
        raise ScopeMissing(
            f"This key lacks the scope {needed!r}, which files of the purpose {purpose!r} need. "
            "An admin can add it.",
            scope=needed,
        )


def _scope_of(purpose: str) -> Scope:
    return "train" if purpose in TRAINING else "use"
