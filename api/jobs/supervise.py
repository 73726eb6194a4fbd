"""Takes queued jobs in their order, starts and follows them, and publishes what was trained.

Only the process that holds `supervisor.lock` does; others serve. The rows are the list of work,
and each pass over them can be the first after a crash: recovering is no code of its own. Publishing
takes long and goes on beside the passes, one job at a time; no job is started meanwhile, because both
want the machine's memory.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio.to_thread

from api.errors import ApiError, OutOfSpace, Unavailable, WrongState
from api.faults import point
from api.jobs.devices import TrainingDevices
from api.jobs.publish import Publisher
from api.models.naming import is_live, require_free, require_unpromised
from api.models.workspaces import Workspaces
from api.runners import JobRunner
from api.store.jobs import MOVES, Job, JobStatus
from finetune.job.directory import JobDirectory
from finetune.job.locks import take
from finetune.job.spec import JobError, Outcome
from finetune.job.verified import forget_refusals, wish_force

LOGGER = logging.getLogger("api.jobs")
POLL_SECONDS = 0.3
IDLE_SECONDS = 5.0
OUTAGE_SECONDS = 2.0
MAX_RESTARTS = 3
LOG_TAIL_BYTES = 1500
LATER = (Unavailable, OutOfSpace, WrongState)
FOLDER_MISSING = JobError(
    title="Folder missing",
    detail="The job's folder is gone. Put it back and resume the job, or submit it again.",
)


class Supervisor:
    """The life of jobs after they are queued. `cancel`, `resume` and `publish` return at once."""

    def __init__(
        self,
        workspaces: Workspaces,
        runner: JobRunner,
        *,
        data_dir: Path,
        jobs_dir: Path,
        training_jobs: int = 1,
        chat_while_training: bool = False,
    ) -> None:
        self._workspaces = workspaces
        self._store = workspaces.store
        self._runner = runner
        self._publishers: dict[str, Publisher] = {}
        self._lock_path = data_dir / "supervisor.lock"
        self._jobs_dir = jobs_dir
        self._training_jobs = training_jobs
        self._devices = TrainingDevices(workspaces.runtime, runner, shared=chat_while_training)
        self._restarts: dict[str, int] = {}
        self._acting = asyncio.Lock()  # a wish to cancel never falls between looking and starting
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._is_swept = False
        self._lock: int | None = None

    def start(self) -> None:
        """Begin to supervise, in a task of the running loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop supervising; the runner is closed by who opened it."""
        if self._task is not None:
            await _ended(self._task)
        if self._publishing is not None:
            await _ended(self._publishing)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def wake(self) -> None:
        """Look at the rows now: something was queued."""
        self._woken.set()

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator: what keeps queued jobs from running, and models from answering."""
        return (*self._devices.check(), *await anyio.to_thread.run_sync(self._runner.check))

    def directory(self, job_id: str) -> JobDirectory:
        """Where a job lies; the id is that of a row, never a caller's."""
        return JobDirectory(self._jobs_dir / job_id)

    async def cancel(self, job_id: str) -> Job:
        """End a queued job, or ask a running one to stop; `errors.WrongState` for any other."""
        async with self._acting:
            job = await anyio.to_thread.run_sync(self._store.jobs.get, job_id)
            if job.status == "running":
                await anyio.to_thread.run_sync(self._runner.cancel, self.directory(job.id))
            elif job.status == "queued":
                job = await self._move(job, "cancelled")
            else:
                raise WrongState(
                    f"Job {job_id} is {job.status}: there is nothing to cancel.", state=job.status
                )
        self.wake()
        return job

    async def resume(self, job_id: str) -> Job:
        """Queue a job that failed, was cancelled or refused; it goes on behind its last stage."""
        job = await anyio.to_thread.run_sync(self._store.jobs.get, job_id)
        _, store, runtime = self._workspaces.of(job.workspace)
        await require_free(store, runtime, job.model_name, by=job)  # may take long
        async with self._acting:
            await require_unpromised(store, job.model_name, by=job)
            if "queued" in MOVES[job.status]:
                await anyio.to_thread.run_sync(forget_refusals, self.directory(job.id))
            job = await self._move(job, "queued")
        self.wake()
        return job

    async def publish(self, job_id: str, *, force: bool = False) -> Job:
        """Publish a trained job (again), with `force` whatever is found wrong with it; `errors.WrongState` for any
        other.

        `errors.NameTaken` when another job is on its way to a model of that name.
        """
        async with self._acting:
            job = await anyio.to_thread.run_sync(self._store.jobs.get, job_id)
            if job.status in ("cancelled", "failed"):
                raise WrongState(
                    f"Job {job_id} is {job.status}: resume it first; it is published when it has trained.",
                    state=job.status,
                )
            store = self._workspaces.of(job.workspace).store
            await require_unpromised(store, job.model_name, by=job)
            directory = self.directory(job.id)
            if "publishing" in MOVES[job.status] and directory.path.is_dir():
                await anyio.to_thread.run_sync(lambda: wish_force(directory, force=force))
            job = await self._move(job, "publishing")
        self.wake()
        return job

    @contextlib.asynccontextmanager
    async def at_rest(self, job_id: str) -> AsyncIterator[Job]:
        """A job that stays in its state meanwhile; `errors.WrongState` when it is on its way to a model."""
        async with self._acting:
            job = await anyio.to_thread.run_sync(self._store.jobs.get, job_id)
            if is_live(job):
                raise WrongState(
                    f"Job {job_id} is {job.status}. Cancel it and wait until it has ended.",
                    state=job.status,
                )
            yield job

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            seconds = IDLE_SECONDS
            try:
                if await self._supervises() and await self._pass():
                    seconds = POLL_SECONDS
            except Exception:
                LOGGER.exception("A pass over the jobs failed; the next one follows.")
            # not `wait_for`: Python 3.11's loses a cancel that comes together with a wake
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    async def _supervises(self) -> bool:
        """Whether the lock is ours; when its holder is gone it becomes ours."""
        if self._lock is None:
            self._lock = await anyio.to_thread.run_sync(take, self._lock_path)
        return self._lock is not None

    async def _pass(self) -> bool:
        """Bring every job one step on; whether any is running."""
        await self._sweep()
        for job in await self._jobs("running"):
            await self._guarded(job, self._follow)
        for job in await self._jobs("trained"):
            if job.error is None:
                await self._guarded(job, lambda job: self._move(job, "publishing"))
        await self._reserve()
        if not await self._publishes():
            await self._claim_queued()
        return bool(await self._jobs("running"))

    async def _sweep(self) -> None:
        """Once, before anything is published: take back what an earlier process has left half made."""
        if not self._is_swept and self._publishing is None:
            with contextlib.suppress(ApiError):
                for workspace in await anyio.to_thread.run_sync(self._store.workspaces):
                    await self._publisher(workspace).sweep()
                self._is_swept = True

    async def _reserve(self, *starting: Job) -> None:
        """Give the jobs that run or are about to what they train on."""
        jobs = [*await self._jobs("running"), *starting]
        await self._devices.reserve([self.directory(job.id) for job in jobs])

    async def _claim_queued(self) -> None:
        while len(await self._jobs("running")) < self._training_jobs:
            queued = await anyio.to_thread.run_sync(self._store.jobs.next_queued)
            if queued is None or not await self._guarded(queued, self._claim):
                return

    async def _guarded(self, job: Job, step: Callable[[Job], Awaitable[object]]) -> bool:
        """Run a step and say whether it was done. An error ends the job, unless it may pass."""
        try:
            await step(job)
        except LATER as error:
            LOGGER.warning("Job %s waits: %s", job.id, error.detail)
            return False
        except Exception as error:
            LOGGER.exception("Job %s ends by an error.", job.id)
            await self._end(job, _as_job_error(error))
        return True

    async def _claim(self, job: Job) -> None:
        """Start a queued job, then say so in its row: a second start does nothing."""
        directory = self.directory(job.id)
        await self._reserve(job)
        async with self._acting:
            job = await anyio.to_thread.run_sync(self._store.jobs.get, job.id)
            if job.status != "queued":
                return
            self._restarts[job.id] = 0
            if not directory.path.is_dir():
                await self._end(job, FOLDER_MISSING)
                return
            await anyio.to_thread.run_sync(self._runner.start, directory)
            point("job_claimed")
            await self._move(job, "running")
        LOGGER.info("Job %s is running.", job.id)

    async def _follow(self, job: Job) -> None:
        """See whether a running job has ended; start it again when it did without a word."""
        async with self._acting:
            outcome = await anyio.to_thread.run_sync(self._look, job)
        if outcome is None:
            return
        if outcome.result == "trained":
            error = outcome.error.model_dump() if outcome.error else None
            await anyio.to_thread.run_sync(
                lambda: self._store.jobs.move(job.id, "trained", error=error)
            )
            point("job_trained")
        elif outcome.result == "cancelled":
            await self._move(job, "cancelled")
        else:
            await self._end(
                job, outcome.error or JobError(title="Failed", detail="No reason given.")
            )
        LOGGER.info("Job %s has ended: %s.", job.id, outcome.result)

    def _look(self, job: Job) -> Outcome | None:
        directory = self.directory(job.id)
        if not directory.path.is_dir():
            return Outcome(result="failed", error=FOLDER_MISSING)
        if self._runner.is_running(directory):
            return None
        outcome = directory.outcome()
        if outcome is not None:
            return Outcome.model_validate(outcome)
        if directory.is_cancel_requested():
            return Outcome(result="cancelled")
        restarts = self._restarts.get(job.id, -1) + 1  # 0: an earlier process has started it
        if restarts > MAX_RESTARTS:
            return Outcome(result="failed", error=_keeps_dying(directory))
        self._restarts[job.id] = restarts
        if restarts:
            detail = f"The pipeline ended without a word. Restart {restarts} of {MAX_RESTARTS}."
            directory.append_event("pipeline", "warning", detail=detail)
        self._runner.start(directory)
        return None

    async def _publishes(self) -> bool:
        """Whether a job is being published; begins with the next one that is to be."""
        if self._publishing is None or self._publishing.done():
            waiting = await self._jobs("publishing")
            if not waiting:
                return False
            if self._devices.holds_gpu:  # the models are loaded for it when that is free
                return True
            self._publishing = asyncio.create_task(self._publish_and_wake(waiting[-1]))
        return True

    async def _publish_and_wake(self, job: Job) -> None:
        if not await self._guarded(job, self._publish):
            await asyncio.sleep(OUTAGE_SECONDS)
        self.wake()

    async def _publish(self, job: Job) -> None:
        job = await self._publisher(job.workspace).publish(job, self.directory(job.id))
        reason = f" ({job.error['detail']})" if job.error else ""
        LOGGER.info("Publishing job %s: %s%s.", job.id, job.status, reason)

    def _publisher(self, workspace: str) -> Publisher:
        if workspace not in self._publishers:
            _, store, runtime = self._workspaces.of(workspace)
            self._publishers[workspace] = Publisher(store, runtime)
        return self._publishers[workspace]

    async def _end(self, job: Job, error: JobError) -> None:
        status: JobStatus = "trained" if job.status == "publishing" else "failed"
        await anyio.to_thread.run_sync(
            lambda: self._store.jobs.move(job.id, status, error=error.model_dump())
        )

    async def _move(self, job: Job, status: JobStatus) -> Job:
        return await anyio.to_thread.run_sync(self._store.jobs.move, job.id, status)

    async def _jobs(self, status: JobStatus) -> list[Job]:
        return await anyio.to_thread.run_sync(self._store.jobs.all, status)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _as_job_error(error: Exception) -> JobError:
    if isinstance(error, ApiError):
        return JobError(title=error.title, detail=error.detail)
    return JobError(title="Unexpected error", detail=f"{type(error).__name__}: {error}")


def _keeps_dying(directory: JobDirectory) -> JobError:
    log = directory.log_tail(LOG_TAIL_BYTES)
    return JobError(
        title="The pipeline keeps dying",
        detail=f"It ended {MAX_RESTARTS + 1} times without saying how. End of log.txt:\n{log}",
    )
