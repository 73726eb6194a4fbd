"""A job goes: its folder loses its name, then the row goes, and what takes long comes behind.

What it has published stays.
"""

import contextlib
import logging
import shutil
from pathlib import Path

from anyio.to_thread import run_sync

from api.errors import ApiError, NameTaken, OutOfSpace, WrongState
from api.jobs.supervise import Supervisor
from api.models.naming import exists, require_unpromised
from api.names import CHECKING
from api.runtime import ModelRuntime
from api.store import Store
from api.store.jobs import Job
from finetune.job.directory import JobDirectory

LOGGER = logging.getLogger("api.jobs")
DELETED = ".deleted-"
"""Beginning of the name of a folder that is being deleted; the next start goes on with one that is left."""


async def delete_job(
    store: Store, runtime: ModelRuntime, supervisor: Supervisor, job_id: str
) -> Job:
    """Delete a job that nothing works on; returns what it was. `errors.WrongState` for one on its way.

    Of a job that was not published, what a broken attempt to publish has left goes too. Other jobs wait for neither
    the runtime nor the disk meanwhile.
    """
    async with supervisor.at_rest(job_id) as job:
        directory = supervisor.directory(job.id)
        if await run_sync(directory.is_locked):
            raise WrongState(f"A process still works on job {job.id}. Try again when it has ended.")
        gone = await run_sync(_take_name, directory)
        await run_sync(store.jobs.remove, job.id)
    if job.status != "succeeded":
        await _take_back(store, runtime, job)
    await run_sync(_remove, gone)
    return job


async def _take_back(store: Store, runtime: ModelRuntime, job: Job) -> None:
    """The half-published model and its record, unless another job is on its way to a model of that name."""
    with contextlib.suppress(NameTaken):
        await require_unpromised(store, job.model_name, by=job)
        with contextlib.suppress(ApiError):  # away: the next start sweeps what is being checked
            await runtime.delete_model(f"{job.model_name}{CHECKING}")
        record = await run_sync(store.models.get, job.model_name)
        if record is not None and record.job_id == job.id:
            with contextlib.suppress(ApiError):
                if not await exists(runtime, job.model_name):
                    await run_sync(store.models.remove, job.model_name)


def _take_name(directory: JobDirectory) -> Path:
    """Give the folder the name of one that is being deleted, in one step: a crash leaves no half job behind."""
    gone = directory.path.with_name(f"{DELETED}{directory.id}")
    try:
        with contextlib.suppress(FileNotFoundError):  # an earlier attempt came so far
            directory.withdraw_start()
            directory.path.rename(gone)
    except OSError as error:
        raise OutOfSpace(
            f"The folder of job {directory.id} could not be removed ({error.strerror}). "
            f"Delete {gone if gone.exists() else directory.path} by hand, then the job again."
        ) from error
    return gone


def _remove(gone: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(gone)
    except OSError as error:
        LOGGER.warning("%s goes at the next start: %s.", gone, error.strerror)
