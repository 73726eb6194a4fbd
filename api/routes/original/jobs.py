"""jobs: list, get, events, log, cancel, resume, publish, delete."""

from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from api.http.problems import problems
from api.http.request import ServicesDep
from api.http.sse import EventStream, ServerEvent
from api.jobs.deleting import delete_job as delete_one
from api.jobs.following import StatusIs, follow
from api.services import Services
from api.store.jobs import Job, JobStatus
from finetune.job.events import Event
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
    created_at: str
    started_at: str | None
    ended_at: str | None


class JobResponse(JobSummary):
    """One job with all that is known of it."""

    queue_position: int | None = Field(description="Jobs that run before it, while it is queued.")
    progress: JobProgress
    gate: dict[str, Any] | None = Field(
        description="How the published model answered the probes of the verified file."
    )
    spec: dict[str, Any]


class JobStateResponse(BaseModel):
    """Where the job is now; a running job takes a moment to obey."""

    job_id: str
    status: JobStatus


class DeleteJobResponse(BaseModel):
    """What was deleted."""

    message: str
    job_id: str


class ListJobsResponse(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobSummary]


@router.get("", operation_id="list_jobs", summary="List the jobs", responses=problems(422))
async def list_jobs(
    services: ServicesDep,
    status: Annotated[list[JobStatus], Query(description="Only these; all when left out.")] = [],  # noqa: B006
) -> ListJobsResponse:
    """Newest first."""
    jobs = await anyio.to_thread.run_sync(services.store.jobs.all, *status)
    return ListJobsResponse(jobs=[JobSummary(**_summary(job)) for job in jobs])


@router.get("/{id}", operation_id="get_job", summary="One job", responses=problems(404, 422))
async def get_job(job_id: JobId, services: ServicesDep) -> JobResponse:
    """Status, progress, and what the gate or an error said."""

    def read() -> JobResponse:
        job = services.store.jobs.get(job_id)
        is_queued = job.status == "queued"
        return JobResponse(
            **_summary(job),
            queue_position=services.store.jobs.queue_position(job) if is_queued else None,
            progress=services.jobs.directory(job.id).progress(),
            gate=job.gate,
            spec={key: value for key, value in job.spec.items() if key != "base_model_folder"},
        )

    return await anyio.to_thread.run_sync(read)


@router.get(
    "/{id}/events",
    operation_id="follow_job",
    status_code=200,  # FastAPI does not find it in the response class
    summary="Follow a job live",
    response_class=EventStream,
    responses=problems(404, 422)
    | {200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
)
async def follow_job(
    job_id: JobId,
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, description="Number of the last event known.")] = 0,
    last_event_id: Annotated[
        str, Header(max_length=100, description="The same, as browsers send it.")
    ] = "",
) -> EventStream:
    """The pipeline's events, each with its number as `id`, and `status` at each change.

    Ends with the status in which the job stays.
    """
    job = await anyio.to_thread.run_sync(services.store.jobs.get, job_id)
    known = int(last_event_id) if last_event_id.isdecimal() and not after else after
    return EventStream(_events(services, job, known))


@router.get(
    "/{id}/log",
    operation_id="read_job_log",
    summary="The end of a job's log",
    response_class=PlainTextResponse,
    responses=problems(404, 422),
)
async def read_job_log(
    job_id: JobId,
    services: ServicesDep,
    characters: Annotated[int, Query(ge=1, le=1_000_000, description="How much of it.")] = 20_000,
) -> str:
    """What the stages printed."""
    job = await anyio.to_thread.run_sync(services.store.jobs.get, job_id)
    return await anyio.to_thread.run_sync(services.jobs.directory(job.id).log_tail, characters)


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
)
async def publish_job(job_id: JobId, services: ServicesDep, response: Response) -> JobStateResponse:
    """For a job that was trained and not published; the probes are replayed again.

    409 while another job is on its way to a model of that name.
    """
    return _state(await services.jobs.publish(job_id), response)


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
    job = await delete_one(services.store, services.runtime, services.jobs, job_id)
    return DeleteJobResponse(message=f"Successfully deleted {job.id}", job_id=job.id)


async def _events(services: Services, job: Job, after: int) -> AsyncGenerator[ServerEvent, None]:
    async for news in follow(services.store, services.jobs.directory(job.id), job, after):
        match news:
            case Event(number, at, stage, type, fields):
                yield ServerEvent(type, {"at": at, "stage": stage, **fields}, str(number))
            case StatusIs(current):
                yield ServerEvent("status", {"status": current.status, "error": current.error})


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
