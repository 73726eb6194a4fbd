"""/v1/fine_tuning/jobs: create, list, retrieve, cancel, pause, resume, and the events and checkpoints of a job."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field

from api.auth.callers import Caller
from api.datasets.receiving import METHOD_OF, NAMES
from api.datasets.receiving import Upload as DatasetUpload
from api.errors import ApiError, BaseModelNotTrainable, InvalidName, NameTaken, NotFound, Unusable
from api.http.openai_errors import PREFIX
from api.http.request import CallerDep, ServicesDep, require_models
from api.http.sse import while_connected
from api.jobs.inputs import Given
from api.jobs.submit import Submission
from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Page, json_body, query, refuse
from api.routes.openai.fine_tuning.answers import (
    CHECKPOINT,
    EVENT,
    checkpoint_object,
    event_object,
    job_object,
)
from api.routes.openai.fine_tuning.hyperparameters import DEFAULTS, where_of
from api.routes.openai.fine_tuning.request import METHODS, UNSUPPORTED, CreateJobRequest
from api.routes.openai.pages import page
from api.services import Services
from api.store.jobs import Job
from api.tables.refusals import DatabaseNotFound, QueryUnusable, TableNotFound
from finetune.data.rows import Fold

router = APIRouter(prefix=PREFIX + "/fine_tuning/jobs")

FILES: dict[str, Fold] = {"training_file": "train", "validation_file": "eval"}
PAUSED = "It is paused at its next safe point, where it shows as cancelled: resume goes on there."
JobId = Annotated[str, Path(max_length=MAX_NAME_CHARACTERS)]
FILTER = re.compile(r"metadata\[(.*)\]", re.DOTALL)


class LongPage(Page):
    """A page of events or of checkpoints."""

    limit: int = Field(20, ge=1, le=1000)


@router.post("", operation_id="createFineTuningJob")
async def create(
    http: Request,
    request: Annotated[CreateJobRequest, Depends(json_body(CreateJobRequest, UNSUPPORTED))],
    services: ServicesDep,
    caller: CallerDep,
) -> dict[str, Any]:
    """A job over files that were checked when they came; its model is named by the suffix where that is a free name."""
    parameters = request.parameters()
    _require_name(request.suffix, caller)
    with _as_sent(request):
        await _require_base(request.model, services)
        async with _given(http, request, parameters, services) as given:
            submission = Submission(
                request.suffix,
                request.model,
                parameters,
                given,
                require_base=partial(require_models, caller),
            )
            job = await _submitted(submission, services, caller)
    return await _shown(job.id, services)


@router.get("", operation_id="listPaginatedFineTuningJobs")
async def jobs(
    http: Request, asked: Annotated[Page, Depends(query(Page))], services: ServicesDep
) -> dict[str, Any]:
    """Newest first; of the metadata `metadata[k]=v`."""
    found, has_more = await services.jobs.page((), asked.after, asked.limit, _wanted(http))
    states = await services.jobs.states(found)
    return page([job_object(state) for state in states], has_more)


@router.get("/{job_id}", operation_id="retrieveFineTuningJob")
async def retrieve(job_id: JobId, services: ServicesDep) -> dict[str, Any]:
    """One job."""
    return await _shown(job_id, services)


@router.post("/{job_id}/cancel", operation_id="cancelFineTuningJob")
async def cancel(job_id: JobId, services: ServicesDep) -> dict[str, Any]:
    """A queued job ends at once, a running one at its next safe point."""
    return await _shown((await services.jobs.cancel(job_id)).id, services)


@router.post("/{job_id}/pause", operation_id="pauseFineTuningJob")
async def pause(job_id: JobId, services: ServicesDep) -> dict[str, Any]:
    """The same, as every job that was cancelled can be gone on with; its events say that it is paused."""
    return await _shown((await services.jobs.cancel(job_id, PAUSED)).id, services)


@router.post("/{job_id}/resume", operation_id="resumeFineTuningJob")
async def resume(job_id: JobId, services: ServicesDep) -> dict[str, Any]:
    """Queues a job that was paused, was cancelled or failed; what is done is not done again."""
    return await _shown((await services.jobs.resume(job_id)).id, services)


@router.get("/{job_id}/events", operation_id="listFineTuningEvents")
async def events(
    job_id: JobId, asked: Annotated[LongPage, Depends(query(LongPage))], services: ServicesDep
) -> dict[str, Any]:
    """Newest first."""
    before = None if asked.after is None else _number(asked.after, EVENT, job_id)
    found, has_more = await services.jobs.events(job_id, before, asked.limit)
    return page([event_object(job_id, event) for event in found], has_more)


@router.get("/{job_id}/checkpoints", operation_id="listFineTuningJobCheckpoints")
async def checkpoints(
    job_id: JobId, asked: Annotated[LongPage, Depends(query(LongPage))], services: ServicesDep
) -> dict[str, Any]:
    """Newest first."""
    step = None if asked.after is None else _number(asked.after, CHECKPOINT, job_id)
    kept = [one for one in await services.jobs.kept(job_id) if step is None or one.step < step]
    job = (await services.jobs.show(job_id)).job
    data = [checkpoint_object(job, one) for one in kept[: asked.limit]]
    return page(data, len(kept) > asked.limit)


async def _shown(job_id: str, services: Services) -> dict[str, Any]:
    return job_object(await services.jobs.show(job_id))


async def _submitted(submission: Submission, services: Services, caller: Caller) -> Job:
    """Under a name of its own, or, where the suffix is no free name, under the job's id, if the key may use that."""
    try:
        return await services.jobs.submit(submission)
    except (InvalidName, NameTaken) as error:
        if submission.model_name is None:
            raise
        if caller.models is not None:
            raise refuse("suffix", error.detail) from error
        return await services.jobs.submit(replace(submission, model_name=None))


async def _require_base(name: str, services: Services) -> None:
    """A fine-tune is trained from its base anew, which is not what its name asks for."""
    if base := await services.jobs.tuned_from(name):
        raise refuse("model", f"{name!r} is a fine-tune and is not gone on with. Name {base!r}.")


@asynccontextmanager
async def _given(
    http: Request, request: CreateJobRequest, parameters: dict[str, Any], services: Services
) -> AsyncIterator[Given]:
    """For each fold the id of its file; of a table, or of a database, its rows as they are now."""
    table = request.table()
    given: dict[Fold, DatasetUpload | str] = {
        fold: id for name, fold in FILES.items() if (id := getattr(request, name))
    }
    async with AsyncExitStack() as stack:
        if table is not None:
            copied = stack.enter_async_context(services.learned.copied(table))
            given["train"] = await while_connected(http, copied)
        for where, fold in FILES.items():
            if isinstance(id := given.get(fold), str):
                await _require_rows(where, id, parameters, services)
        yield given


async def _require_rows(
    where: str, id: str, parameters: dict[str, Any], services: Services
) -> None:
    """A file that was uploaded to be trained on, whose rows the method learns from."""
    try:
        kind = (await services.datasets.get(id)).card["kind"]
    except NotFound:
        raise NotFound(
            f"No file {id!r} to train on: upload it with purpose 'fine-tune'.", where=where
        ) from None
    method = METHOD_OF[kind]
    if parameters.get("method", "sft") != method:
        named = {ours: f"method.type {theirs}" for theirs, ours in METHODS.items()}
        learns = named.get(method, f"hyperparameters.method {method}")
        raise Unusable(
            f"{where}: The rows are {NAMES[kind]}, from which {learns} learns.", where=where
        )


def _require_name(suffix: str | None, caller: Caller) -> None:
    if caller.models is not None and not (suffix and caller.may_use(suffix)):
        raise refuse("suffix", "This key could not use the model: name one of those that it may.")


@contextmanager
def _as_sent(request: CreateJobRequest) -> Iterator[None]:
    """A refusal names the member that was sent."""
    rows = "train_table" if request.train_table else "training_file"
    fields = {"train_dataset": rows, "eval_dataset": "validation_file"}
    try:
        yield
    except ApiError as error:
        where = str(error.extra.get("where"))
        if isinstance(error, BaseModelNotTrainable):
            error.extra = {**error.extra, "where": "model"}
        if where in DEFAULTS:
            error.extra = {**error.extra, "where": f"{request.where}.{where_of(where)}"}
        elif where in fields:
            error.extra = {**error.extra, "where": fields[where]}
        elif isinstance(error, TableNotFound | DatabaseNotFound | QueryUnusable):
            error.extra = {**error.extra, "where": rows}
        raise


def _wanted(http: Request) -> Callable[[Job], bool]:
    """Whether a job has all the metadata that are asked for; `metadata=null`: none at all."""
    given = http.query_params
    pairs = {found[1]: one for name, one in given.items() if (found := FILTER.fullmatch(name))}
    if given.get("metadata") == "null":
        return lambda job: not job.spec.get("metadata")
    return lambda job: pairs.items() <= (job.spec.get("metadata") or {}).items()


def _number(id: str, mark: str, job_id: str) -> int:
    """The number in the id of an event or a checkpoint of this job."""
    begin = f"{mark}{job_id}-"
    number = id.removeprefix(begin)
    if not id.startswith(begin) or not number.isascii() or not number.isdecimal():
        raise NotFound(f"No {id!r} of job {job_id!r}.", where="after")
    return int(number[:18])
