"""adapters: one that was trained elsewhere becomes a model here."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from api.datasets.receiving import Upload as DatasetUpload
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import CallerDep, ServicesDep, Upload, request_model, require_models
from api.jobs.arriving import Arrival
from api.jobs.submit import Submission
from api.routes.original.fields import BASE_MODEL, MODEL_NAME, Name
from finetune.data.rows import Fold
from finetune.job.parameters.data import Data
from finetune.job.parameters.exporting import Exporting

router = APIRouter(tags=["fine-tuning"])

FILES = {
    "adapter": "A zip of the folder that PEFT wrote: `adapter_config.json`, `adapter_model.safetensors`.",
    "adapter_config": "In the place of the zip: `adapter_config.json`.",
    "adapter_model": "In the place of the zip: `adapter_model.safetensors`.",
    "dataset": "Rows like those it learned, to verify the files on; conversations of ours when left out.",
}


class PublishAdapterRequest(Data, Exporting):
    """What becomes of it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_name: Name = Field(
        validation_alias=MODEL_NAME,
        description="The new model's name.",
        examples=["northwind"],
    )
    base_model: Name | None = Field(
        None,
        validation_alias=BASE_MODEL,
        description="The trainable base it belongs to; the one that its configuration names when left out.",
        examples=["demo"],
    )


class PublishAdapterResponse(BaseModel):
    """The job that was queued."""

    job_id: str
    status: str


@router.post(
    "/adapters",
    operation_id="publish_adapter",
    status_code=202,
    summary="Publish an adapter that was trained elsewhere",
    responses=problems(404, 408, 409, 413, 415, 422, 507),
    openapi_extra=documented(PublishAdapterRequest, optional_files=FILES),
)
async def publish_adapter(
    request: Annotated[
        Upload[PublishAdapterRequest],
        Depends(request_model(PublishAdapterRequest, optional_files=FILES)),
    ],
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
) -> PublishAdapterResponse:
    """Queues a job that merges, converts, verifies and publishes it like one trained here; follow it at `Location`.

    Its settings, names and shapes are held against the base at once. Of a zip only the adapter is taken, and
    the chat template beside it; safetensors alone, no pickles.
    """
    values = request.values
    files = {name: part.file for name, part in request.files.items()}
    given: dict[Fold, DatasetUpload | str] = {}
    if "dataset" in request.files:
        part = request.files["dataset"]
        given["train"] = DatasetUpload(part.file, part.filename)
    chosen = set(Data.model_fields) | set(Exporting.model_fields)
    job = await services.jobs.submit(
        Submission(
            values.model_name,
            values.base_model,
            values.model_dump(include=chosen),
            given,
            Arrival(files.get("adapter"), files.get("adapter_config"), files.get("adapter_model")),
            require_base=partial(require_models, caller),
        )
    )
    response.headers["Location"] = f"/jobs/{job.id}"
    return PublishAdapterResponse(job_id=job.id, status=job.status)
