"""POST, GET /v1/batches; GET /v1/batches/{batch_id}; POST /v1/batches/{batch_id}/cancel: many requests as one file."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.batches.batches import Wanted
from api.batches.values import WINDOW, Batch, Endpoint
from api.http.openai_errors import PREFIX
from api.http.request import CallerDep, ServicesDep
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Page, json_body, query
from api.routes.openai.files import ExpiresAfter
from api.routes.openai.metadata import Metadata
from api.routes.openai.pages import page

router = APIRouter(prefix=PREFIX + "/batches")

TIMES = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


class BatchRequest(BaseModel):
    """Which file's rows are asked, and where."""

    input_file_id: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None


@router.post("", operation_id="createBatch")
async def create(
    request: Annotated[BatchRequest, Depends(json_body(BatchRequest))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """Queue the rows of a file; what is wrong with it is told by the batch, which is then `failed`."""
    kept = request.output_expires_after
    wanted = Wanted(
        request.input_file_id,
        request.endpoint,
        request.metadata,
        kept.seconds if kept else None,
    )
    return _object(await services.batches.create(wanted, caller.key_id))


@router.get("", operation_id="listBatches")
async def all_batches(
    request: Annotated[Page, Depends(query(Page))], services: ServicesDep
) -> dict[str, Any]:
    """Those of the workspace, the newest first."""
    found, has_more = await services.batches.page(request.after, request.limit)
    return page([_object(one) for one in found], has_more)


@router.get("/{batch_id}", operation_id="retrieveBatch")
async def retrieve(batch_id: str, services: ServicesDep) -> dict[str, Any]:
    """One batch, with how far it is."""
    return _object(await services.batches.get(batch_id))


@router.post("/{batch_id}/cancel", operation_id="cancelBatch")
async def cancel(batch_id: str, services: ServicesDep) -> dict[str, Any]:
    """Ask no more rows; what was answered is in the files when it is `cancelled`."""
    return _object(await services.batches.cancel(batch_id))


def _object(batch: Batch) -> dict[str, Any]:
    """A batch as the clients know it; its files are there when it has ended."""
    times = batch.times or {}
    faults = [asdict(one) for one in batch.faults]
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": batch.input_file,
        "completion_window": WINDOW,
        "status": batch.status,
        "output_file_id": batch.output_file if batch.is_over else None,
        "error_file_id": batch.error_file if batch.is_over else None,
        "created_at": _seconds(batch.created_at),
        "expires_at": _seconds(batch.expires_at),
        **{name: _seconds(times.get(name)) for name in TIMES},
        "request_counts": asdict(batch.counts),
        "metadata": batch.metadata,
    }


def _seconds(time: str | None) -> int | None:
    return None if time is None else int(datetime.fromisoformat(time).timestamp())
