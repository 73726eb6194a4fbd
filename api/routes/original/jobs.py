"""jobs: list, get, events, log, cancel, resume, publish, delete."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from api.http.openapi import documented
from api.http.problems import problems
from api.http.request import ServicesDep, request_model
from api.http.sse import EventStream, ServerEvent
from api.jobs.following import StatusIs
from api.routes.original.fields import MODEL_NAME, HasMore, Name, PageRequest
from api.store.jobs import Job, JobStatus
from finetune.job.events import Event
from finetune.job.parameters.running import Checkpoint
from finetune.job.progress import JobProgress

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[
    str, Path(alias="id", description="The job's id.", examples=["job_0123456789abcdef"])
]


class JobSummary(BaseModel):
    """One job."""

    job_id: str
    status: JobStatus
    model: str = Field(description="Name under which the result is published.")
    base_model: str
    error: dict[str, Any] | None = Field(description="Why it is not further: title and detail.")
    priority: int
    created_at: str
    started_at: str | None
    ended_at: str | None


class JobResponse(JobSummary):
    """One job with all that is known of it."""

    queue_position: int | None = Field(description="Jobs that run before it, while it is queued.")
    progress: JobProgress
    preflight: dict[str, Any] | None = Field(
        description="What it needs: as `predicted`, `counted` and `probed`, and what was `real` in the end."
    )
    verification: dict[str, Any] = Field(
        description="What was compared and measured of its files, and what was `refused`; empty before."
    )
    comparison: dict[str, Any] = Field(
        description="How the tuned model is beside its base on held-out rows, in words and in figures; empty before."
    )
    gate: dict[str, Any] | None = Field(
        description="How the published model answered the probes of the verified file."
    )
    checkpoints: list[dict[str, Any]] = Field(
        description="What was kept: `step`, `eval_loss` on held-out rows, and which one is `exported`."
    )
    spec: dict[str, Any]


class PublishJobRequest(BaseModel):
    """From what to publish, under which name, and whether in any case."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    checkpoint: Checkpoint | None = Field(
        None,
        description="Export this checkpoint instead: `best`, `last` or a step. The job is queued again for that; of "
        "one that was published, failed or was cancelled, a job of its own is queued.",
    )
    model_name: Name | None = Field(
        None,
        validation_alias=MODEL_NAME,
        description="Publish under this name instead of the job's.",
        examples=["northwind-120"],
    )
    force: bool = Field(
        False,
        description="Publish what was refused too: the model keeps the reason as its `warning`.",
    )


class PreferJobRequest(BaseModel):
    """When it comes."""

    model_config = ConfigDict(extra="forbid")

    priority: int = Field(
        ge=-100, le=100, description="The highest comes first, of equals the longest waiting."
    )


class JobStateResponse(BaseModel):
    """Where the job is now; a running job takes a moment to obey."""

    job_id: str
    status: JobStatus


class DeleteJobResponse(BaseModel):
    """What was deleted."""

    message: str
    job_id: str


class ListJobsRequest(PageRequest):
    """Which jobs, and which part of the list."""

    status: tuple[JobStatus, ...] = Field(
        (), description="Only jobs of this status; all when left out."
    )


class ListJobsResponse(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobSummary]
    has_more: HasMore


class FollowJobRequest(BaseModel):
    """Where to go on."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(0, ge=0, description="Number of the last event known.")


class ReadLogRequest(BaseModel):
    """How much of the log."""

    model_config = ConfigDict(extra="forbid")

    characters: int = Field(20_000, ge=1, le=1_000_000, description="How much of its end.")


@router.get(
    "",
    operation_id="list_jobs",
    summary="List the jobs",
    responses=problems(404, 422),
    openapi_extra=documented(ListJobsRequest),
)
async def list_jobs(
    request: Annotated[ListJobsRequest, Depends(request_model(ListJobsRequest))],
    services: ServicesDep,
) -> ListJobsResponse:
    """Newest first."""
    jobs, has_more = await services.jobs.page(request.status, request.after, request.limit)
    return ListJobsResponse(jobs=[JobSummary(**_summary(job)) for job in jobs], has_more=has_more)


@router.get("/{id}", operation_id="get_job", summary="One job", responses=problems(404, 422))
async def get_job(job_id: JobId, services: ServicesDep) -> JobResponse:
    """Status, progress, and what the gate or an error said."""
    state = await services.jobs.show(job_id)
    spec = {key: value for key, value in state.job.spec.items() if key != "base_model_folder"}
    return JobResponse(
        **_summary(state.job),
        queue_position=state.queue_position,
        progress=state.progress,
        preflight=state.preflight,
        verification=state.verification,
        comparison=state.comparison,
        gate=state.job.gate,
        checkpoints=state.checkpoints,
        spec=spec,
    )


@router.get(
    "/{id}/events",
    operation_id="follow_job",
    status_code=200,  # FastAPI does not find it in the response class
    summary="Follow a job live",
    response_class=EventStream,
    responses=problems(404, 422)
    | {200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
    openapi_extra=documented(FollowJobRequest),
)
async def follow_job(
    job_id: JobId,
    request: Annotated[FollowJobRequest, Depends(request_model(FollowJobRequest))],
    services: ServicesDep,
    last_event_id: Annotated[
        str, Header(max_length=100, description="The same, as browsers send it.")
    ] = "",
) -> EventStream:
    """The pipeline's events, each with its number as `id`, and `status` at each change.

    Ends with the status in which the job stays.
    """
    after = request.after or (int(last_event_id) if last_event_id.isdecimal() else 0)
    return EventStream(_written(await services.jobs.follow(job_id, after)))


@router.get(
    "/{id}/log",
    operation_id="read_job_log",
    summary="The end of a job's log",
    response_class=PlainTextResponse,
    responses=problems(404, 422),
    openapi_extra=documented(ReadLogRequest),
)
async def read_job_log(
    job_id: JobId,
    request: Annotated[ReadLogRequest, Depends(request_model(ReadLogRequest))],
    services: ServicesDep,
) -> str:
    """What the stages printed."""
    return await services.jobs.log_tail(job_id, request.characters)


@router.post(
    "/{id}/cancel",
    operation_id="cancel_job",
    status_code=202,
    summary="Cancel a job",
    responses=problems(404, 409, 422),
)
async def cancel_job(job_id: JobId, services: ServicesDep, response: Response) -> JobStateResponse:
    """A queued job ends at once, a running one at its next safe point; it can be resumed."""
    return _state(await services.jobs.cancel(job_id), response)


@router.post(
    "/{id}/resume",
    operation_id="resume_job",
    status_code=202,
    summary="Go on with a job",
    responses=problems(404, 409, 422),
)
async def resume_job(job_id: JobId, services: ServicesDep, response: Response) -> JobStateResponse:
    """Queues a failed, cancelled or trained job; what is done is not done again."""
    return _state(await services.jobs.resume(job_id), response)


@router.post(
    "/{id}/publish",
    operation_id="publish_job",
    status_code=202,
    summary="Publish a trained job",
    responses=problems(404, 409, 422),
    openapi_extra=documented(PublishJobRequest),
)
async def publish_job(
    job_id: JobId,
    request: Annotated[PublishJobRequest, Depends(request_model(PublishJobRequest))],
    services: ServicesDep,
    response: Response,
) -> JobStateResponse:
    """For a job that was trained and not published; the probes are replayed again.

    With `checkpoint` or `modelName` also for one that was published, failed or was cancelled: the answer is then
    another job, which exports and publishes it, and what was published before stays. 409 while a model has that name,
    or another job is on its way to it; 404, with those there are, when the checkpoint was not kept.
    """
    job = await services.jobs.publish(
        job_id, request.checkpoint, force=request.force, name=request.model_name
    )
    return _state(job, response)


@router.post(
    "/{id}/priority",
    operation_id="prefer_job",
    summary="Change a job's place in the queue",
    responses=problems(404, 422),
    openapi_extra=documented(PreferJobRequest),
)
async def prefer_job(
    job_id: JobId,
    request: Annotated[PreferJobRequest, Depends(request_model(PreferJobRequest))],
    services: ServicesDep,
    response: Response,
) -> JobStateResponse:
    """Counts while it is queued; a job that runs goes on."""
    return _state(await services.jobs.prefer(job_id, request.priority), response)


@router.delete(
    "/{id}",
    operation_id="delete_job",
    summary="Delete a job",
    responses=problems(404, 409, 422),
)
async def delete_job(job_id: JobId, services: ServicesDep) -> DeleteJobResponse:
    """Its files and its row; the model that it has published stays.

    409 while it is queued, runs or is being published: cancel it first.
    """
    job = await services.jobs.delete(job_id)
    return DeleteJobResponse(message=f"Successfully deleted {job.id}", job_id=job.id)


async def _written(
    happening: AsyncIterator[Event | StatusIs],
) -> AsyncGenerator[ServerEvent, None]:
    async for news in happening:
        if isinstance(news, StatusIs):
            job = news.job
            yield ServerEvent("status", {"status": job.status, "error": job.error})
        else:
            data = {"at": news.at, "stage": news.stage, **news.fields}
            yield ServerEvent(news.type, data, str(news.number))


def _summary(job: Job) -> dict[str, Any]:
    values = asdict(job)
    return {
        "job_id": job.id,
        "model": job.model_name,
        **{name: values[name] for name in JobSummary.model_fields if name in values},
    }


def _state(job: Job, response: Response) -> JobStateResponse:
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobStateResponse(job_id=job.id, status=job.status)
