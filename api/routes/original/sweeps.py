"""sweeps: begin, list, get, cancel, publish, delete."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.datasets.receiving import Upload
from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, request_model
from api.http.request_body import invalid
from api.http.sse import while_connected
from api.jobs.inputs import Given
from api.routes.original.fields import BASE_MODEL, MODEL_NAME, HasMore, Name, PageRequest
from api.services import Services
from api.sweeps.search import MOST_RUNS, Method, Range, Value
from api.sweeps.sweeps import Found, Wanted
from api.sweeps.values import Status, Sweep, Trial
from api.tables.learned import TrainTable
from finetune.data.rows import Fold

router = APIRouter(prefix="/sweeps", tags=["sweeps"])

SweepId = Annotated[
    str, Path(alias="id", description="The sweep's id.", examples=["sw_0123456789abcdef"])
]


class BeginSweepRequest(BaseModel):
    """What is trained on, and what is varied."""

    model_config = ConfigDict(extra="forbid")

    model_name: Name = Field(
        validation_alias=MODEL_NAME,
        description="Name under which the best run can be published; the runs are NAME-01, NAME-02, ...",
        examples=["northwind"],
    )
    base_model: Name | None = Field(
        None,
        validation_alias=BASE_MODEL,
        description="A trainable base; the default when left out.",
        examples=["demo"],
    )
    train_dataset: Name | None = Field(
        None, description="What is learned: a dataset's id.", examples=["ds_0123456789abcdef"]
    )
    train_table: TrainTable | None = Field(
        None,
        description="In the place of `train_dataset`: the rows of a table, or of a database, as they are now.",
        examples=[{"table": "faq"}],
    )
    eval_dataset: Name | None = Field(
        None, description="What the runs are compared by; some rows are held out when left out."
    )
    method: Method = Field(
        "random",
        description="`grid`: all combinations; `random`: some; `tpe`: one after the other, each where the earlier ones "
        "promise most.",
    )
    runs: int = Field(
        10, ge=1, le=MOST_RUNS, description="How many jobs; of a grid as many as it has."
    )
    parameters: dict[str, Range | tuple[Value, ...]] = Field(
        description="What is varied, by the names that fine_tune_model has for it: a list of values, or a range.",
        examples=[{"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "rank": [8, 16, 32]}],
    )
    settings: dict[str, Any] = Field(
        {}, description="Parameters of fine_tune_model that are the same in every run."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the search.")


class SweepSummary(BaseModel):
    """One sweep."""

    sweep_id: str
    status: Status
    model: str
    base_model: str | None
    datasets: Mapping[str, str] = Field(description="Ids; of a table where its rows came from.")
    method: Method
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    runs: int
    queued_runs: int = Field(description="Runs that were queued so far.")
    created_at: str
    error: str = Field(description="Why it could not go on.")


class TrialResponse(BaseModel):
    """One run."""

    job_id: str
    parameters: dict[str, Any]
    status: str
    eval_loss: float | None = Field(
        description="Loss on held-out rows of the checkpoint it would export."
    )
    seconds: float | None = Field(description="What training took.")


class SweepResponse(SweepSummary):
    """One sweep with what its runs came to."""

    trials: list[TrialResponse]
    best: TrialResponse | None = Field(description="The run of the lowest loss so far.")
    compare: str = Field(description="Where its runs are shown side by side.")


class ListSweepsResponse(BaseModel):
    """Sweeps, newest first."""

    sweeps: list[SweepSummary]
    has_more: HasMore


class PublishSweepResponse(BaseModel):
    """The job that is on its way to the model."""

    job_id: str
    status: str
    model: str


class DeleteSweepResponse(BaseModel):
    """What was deleted."""

    message: str
    sweep_id: str


@router.post(
    "",
    operation_id="begin_sweep",
    status_code=202,
    summary="Train with several parameters",
    responses=problems(404, 409, 413, 415, 422, 429, 507),
    openapi_extra=documented(BeginSweepRequest),
)
async def begin_sweep(
    http: Request,
    request: Annotated[
        BeginSweepRequest,
        Depends(request_model(BeginSweepRequest, default_base="default_trainable_model")),
    ],
    services: ServicesDep,
    response: Response,
) -> SweepResponse:
    """Queues a job a run, each of which ends when it has trained; the best one can be published."""
    async with _given(http, request, services) as datasets:
        found = await services.sweeps.begin(
            Wanted(
                model=request.model_name,
                base_model=request.base_model,
                datasets=datasets,
                method=request.method,
                space=request.parameters,
                runs=request.runs,
                settings=request.settings,
                seed=request.seed,
            )
        )
    response.headers["Location"] = f"/sweeps/{found.sweep.id}"
    return _whole(found)


@router.get(
    "",
    operation_id="list_sweeps",
    summary="List the sweeps",
    responses=problems(404, 422),
    openapi_extra=documented(PageRequest),
)
async def list_sweeps(
    request: Annotated[PageRequest, Depends(request_model(PageRequest))],
    services: ServicesDep,
) -> ListSweepsResponse:
    """Newest first."""
    sweeps, has_more = await services.sweeps.page(request.after, request.limit)
    return ListSweepsResponse(
        sweeps=[SweepSummary(**_summary(sweep)) for sweep in sweeps], has_more=has_more
    )


@router.get("/{id}", operation_id="get_sweep", summary="One sweep", responses=problems(404, 422))
async def get_sweep(sweep_id: SweepId, services: ServicesDep) -> SweepResponse:
    """How far it is, and what each run came to."""
    return _whole(await services.sweeps.show(sweep_id))


@router.post(
    "/{id}/cancel",
    operation_id="cancel_sweep",
    status_code=202,
    summary="Cancel a sweep",
    responses=problems(404, 409, 422),
)
async def cancel_sweep(sweep_id: SweepId, services: ServicesDep) -> SweepResponse:
    """Its queued jobs end at once, the one that runs at its next step; what has trained can still be published."""
    return _whole(await services.sweeps.cancel(sweep_id))


@router.post(
    "/{id}/publish",
    operation_id="publish_sweep",
    status_code=202,
    summary="Publish the best run of a sweep",
    responses=problems(404, 409, 422),
)
async def publish_sweep(
    sweep_id: SweepId, services: ServicesDep, response: Response
) -> PublishSweepResponse:
    """Its job goes on: it is exported, verified, and published under the sweep's name."""
    job = await services.sweeps.publish(sweep_id)
    response.headers["Location"] = f"/jobs/{job.id}"
    return PublishSweepResponse(job_id=job.id, status=job.status, model=job.model_name)


@router.delete(
    "/{id}",
    operation_id="delete_sweep",
    summary="Delete a sweep",
    responses=problems(404, 409, 422),
)
async def delete_sweep(sweep_id: SweepId, services: ServicesDep) -> DeleteSweepResponse:
    """Its jobs stay. 409 while it is running: cancel it first."""
    sweep = await services.sweeps.delete(sweep_id)
    return DeleteSweepResponse(message=f"Successfully deleted {sweep.id}", sweep_id=sweep.id)


@contextlib.asynccontextmanager
async def _given(
    http: Request, request: BeginSweepRequest, services: Services
) -> AsyncIterator[Given]:
    """For each fold its dataset's id; of a table, or of a database, its rows as they are now."""
    if (request.train_dataset is None) == (request.train_table is None):
        raise invalid("train_dataset", "Name the dataset that is learned, or a `train_table`.")
    given: dict[Fold, Upload | str] = {}
    if request.eval_dataset is not None:
        given["eval"] = request.eval_dataset
    if request.train_dataset is not None:
        yield {**given, "train": request.train_dataset}
    elif request.train_table is not None:
        async with contextlib.AsyncExitStack() as stack:
            copied = stack.enter_async_context(services.learned.copied(request.train_table))
            yield {**given, "train": await while_connected(http, copied)}


def _whole(found: Found) -> SweepResponse:
    ids = ",".join(trial.job_id for trial in found.trials)
    return SweepResponse(
        **_summary(found.sweep),
        trials=[_trial(trial) for trial in found.trials],
        best=_trial(found.best) if found.best else None,
        compare=f"/jobs/compare?ids={ids}",
    )


def _trial(trial: Trial) -> TrialResponse:
    return TrialResponse(**asdict(trial))


def _summary(sweep: Sweep) -> dict[str, Any]:
    return {
        "sweep_id": sweep.id,
        "status": sweep.status,
        "model": sweep.model,
        "base_model": sweep.base_model,
        "datasets": sweep.datasets,
        "method": sweep.method,
        "parameters": sweep.space,
        "settings": sweep.settings,
        "runs": sweep.runs,
        "queued_runs": len(sweep.trials),
        "created_at": sweep.created_at,
        "error": sweep.error,
    }
