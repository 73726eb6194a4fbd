"""Which names are free for a new model: no model has them, and no job is to give them."""

import contextlib

import anyio.to_thread

from api.errors import ModelDamaged, ModelNotFound, NameTaken
from api.models.workspaces import Known
from api.names import model_key
from api.runtime import ModelInfo, ModelRuntime
from api.store import Store
from api.store.jobs import Job, JobStatus

ON_THE_WAY: tuple[JobStatus, ...] = ("queued", "running", "trained", "publishing")


def is_live(job: Job) -> bool:
    """Whether the job is on its way to a model; one that was refused waits for its owner."""
    return job.status in ON_THE_WAY and not (job.status == "trained" and job.error is not None)


async def exists(runtime: ModelRuntime, name: str) -> bool:
    """Whether the runtime has a model of that name, other than one that is lent; its errors when it does not answer."""
    try:
        return takes_its_name(await runtime.show(name))
    except ModelNotFound:
        return False


def takes_its_name(model: ModelInfo) -> bool:
    """Whether no other one can be called so; the name of one that another workspace shares is free."""
    return not (isinstance(model, Known) and model.is_lent)


async def require_free(
    store: Store, runtime: ModelRuntime, name: str, *, by: Job | None = None
) -> None:
    """`errors.NameTaken` when a model has that name or a job other than `by` is to give it."""
    with contextlib.suppress(ModelNotFound):
        try:
            found = await runtime.show(name)
        except ModelDamaged as error:
            raise NameTaken(error.detail) from error
        if takes_its_name(found):
            raise NameTaken(
                f"A model named {found.name!r} exists. Choose another name, or delete it."
            )
    await require_unpromised(store, name, by=by)


async def require_unpromised(store: Store, name: str, *, by: Job | None = None) -> None:
    """`errors.NameTaken` when a job other than `by` is to give a model that name."""
    for job in await anyio.to_thread.run_sync(store.jobs.all, *ON_THE_WAY):
        is_other = by is None or job.id != by.id
        if is_other and is_live(job) and model_key(job.model_name) == model_key(name):
            raise NameTaken(
                f"Job {job.id} is going to publish a model named {job.model_name!r}. "
                "Choose another name, or cancel the job."
            )
