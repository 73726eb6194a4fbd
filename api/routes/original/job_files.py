"""job files: what a job has made, listed and fetched."""

from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from api.http.files import file_response
from api.http.problems import problems
from api.http.request import ServicesDep
from api.jobs.files import ADAPTER_ZIP, MODELFILE

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[
    str, Path(alias="id", description="The job's id.", examples=["job_0123456789abcdef"])
]
FilePath = Annotated[
    str, Path(alias="path", description="A name of the list.", examples=["model.gguf"])
]
BYTES: dict[str, Any] = {
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
}


class JobFileResponse(BaseModel):
    """One file."""

    path: str = Field(description="Its name, to be fetched by.", examples=["model.gguf"])
    bytes: int | None = Field(description="Its size; null for what is made when it is fetched.")
    sha256: str | None = Field(description="Its hash, which is its ETag.")


class JobFilesResponse(BaseModel):
    """What there is."""

    files: list[JobFileResponse]


@router.get(
    "/{id}/files",
    operation_id="list_job_files",
    summary="What a job has made",
    responses=problems(404, 422),
)
async def list_job_files(job_id: JobId, services: ServicesDep) -> JobFilesResponse:
    """Adapter, GGUF files, Modelfile, the dataset as it was trained on, what was verified, on wish the merged model.

    They stay when the model is published, until the job is deleted.
    """
    files = await services.job_files.listed(job_id)
    return JobFilesResponse(
        files=[JobFileResponse(path=one.path, bytes=one.bytes, sha256=one.sha256) for one in files]
    )


@router.head("/{id}/files/{path:path}", include_in_schema=False)
@router.get(
    "/{id}/files/{path:path}",
    operation_id="fetch_job_file",
    summary="Fetch a file of a job",
    response_class=Response,
    responses=problems(404, 416, 422)
    | {
        200: BYTES | {"description": "The file."},
        206: BYTES | {"description": "The part that `Range` asked for."},
        304: {"description": "The file of `If-None-Match` is still the one."},
    },
)
async def fetch_job_file(
    job_id: JobId, path: FilePath, request: Request, services: ServicesDep
) -> Response:
    """A broken download goes on with `Range`, guarded by `If-Range` with the ETag, which is the file's SHA-256.

    `adapter.zip` is packed and `Modelfile` written when it is fetched: these two come whole.
    """
    file = await services.job_files.found(job_id, path)
    name = PurePosixPath(path).name
    if file.path == MODELFILE:
        return PlainTextResponse(await services.job_files.modelfile(job_id))
    if file.path == ADAPTER_ZIP:
        if request.method == "HEAD":
            return Response(media_type="application/zip")
        files = await services.job_files.listed(job_id)
        headers = {"Content-Disposition": f'attachment; filename="{job_id}-adapter.zip"'}
        packed = services.job_files.zipped_adapter(job_id, files)
        return StreamingResponse(packed, media_type="application/zip", headers=headers)
    return file_response(request, str(file.place), name, file.bytes or 0, file.sha256)
