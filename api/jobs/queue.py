"""What callers can do about jobs: queue one, look at them, follow one, wish that it ends or goes on, delete it."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from api.jobs.choosing import checkpoints, choose
from api.jobs.deleting import delete_job
from api.jobs.following import StatusIs, follow
from api.jobs.history import Kept, kept_checkpoints, newest_events
from api.jobs.outlook import seconds_left, trained_tokens
from api.jobs.submit import Plan, Submission, Submitter
from api.jobs.supervise import Supervisor
from api.models.naming import require_free
from api.names import valid_model_name
from api.runtime import ModelRuntime
from api.store import Store
from api.store.jobs import Job, JobStatus
from finetune.job.directory import JobDirectory
from finetune.job.events import Event
from finetune.job.parameters.running import Checkpoint
from finetune.job.progress import JobProgress
from finetune.job.verified import comparison_of, report_of, wish_force
from finetune.preflight.record import read_parts, shown


@dataclass(frozen=True, slots=True)
class JobState:
    """One job with all that is known of it; `queue_position` counts the jobs that run before it, `checkpoints` are
    those that it has kept, `verification` is what was measured of its files, `comparison` how it is beside its base,
    `preflight` what was predicted and what it really took. `seconds_left` is known while it runs, `trained_tokens` when
    it has trained.
    """

    job: Job
    queue_position: int | None
    progress: JobProgress
    checkpoints: list[dict[str, Any]]
    verification: dict[str, Any]
    preflight: dict[str, Any] | None
    comparison: dict[str, Any]
    seconds_left: float | None
    trained_tokens: int | None


class JobQueue:
    """The jobs of a workspace. Every method that takes an id raises `errors.JobNotFound`, also for another one's."""

    def __init__(
        self, store: Store, runtime: ModelRuntime, submitter: Submitter, supervisor: Supervisor
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._submitter = submitter
        self._supervisor = supervisor

    async def tuned_from(self, model: str) -> str:
        """The base of a fine-tune, of any other model nothing; `errors.BaseModelNotTrainable` without a base."""
        return await anyio.to_thread.run_sync(self._submitter.tuned_from, model)

    async def plan(self, submission: Submission) -> Plan:
        """Check a submission and say what it would run; nothing is kept."""
        return await self._submitter.plan(submission)

    async def submit(self, submission: Submission) -> Job:
        """Check a submission and queue it."""
        job = await self._submitter.submit(submission)
        self._supervisor.wake()
        return job

    async def page(
        self,
        statuses: tuple[JobStatus, ...],
        after: str | None,
        limit: int,
        is_wanted: Callable[[Job], bool] = lambda _: True,
    ) -> tuple[list[Job], bool]:
        """At most `limit` jobs that are wanted, in these states (without any: in all), newest first, behind job
        `after`; and whether there are more.
        """
        read = self._store.jobs.page
        return await anyio.to_thread.run_sync(read, statuses, after, limit, is_wanted)

    async def states(self, jobs: Sequence[Job]) -> list[JobState]:
        """All that is known of each."""
        return await anyio.to_thread.run_sync(lambda: [self._state(job) for job in jobs])

    async def show(self, job_id: str) -> JobState:
        """One job, its place in the queue and its progress."""
        return await anyio.to_thread.run_sync(lambda: self._state(self._store.jobs.get(job_id)))

    def _state(self, job: Job) -> JobState:
        place = self._store.jobs.queue_position(job) if job.status == "queued" else None
        directory = self.directory(job.id)
        progress = directory.progress()
        return JobState(
            job,
            place,
            progress,
            checkpoints(directory),
            report_of(directory),
            shown(read_parts(directory)),
            comparison_of(directory),
            seconds_left(directory, progress) if job.status == "running" else None,
            trained_tokens(directory, job.spec.get("epochs", 1)),
        )

    async def events(self, job_id: str, before: int | None, limit: int) -> tuple[list[Event], bool]:
        """At most `limit` events before number `before` (None: all), newest first; and whether there are more."""
        return await anyio.to_thread.run_sync(
            newest_events, await self._directory(job_id), before, limit
        )

    async def kept(self, job_id: str) -> list[Kept]:
        """The checkpoints that the job has kept, newest first."""
        return await anyio.to_thread.run_sync(kept_checkpoints, await self._directory(job_id))

    async def follow(self, job_id: str, after: int) -> AsyncIterator[Event | StatusIs]:
        """The job's events from number `after` + 1 on, and its status at each change."""
        job = await self._row(job_id)
        return follow(self._store, self.directory(job.id), job, after)

    async def log_tail(self, job_id: str, characters: int) -> str:
        """The end of what its stages printed."""
        directory = await self._directory(job_id)
        return await anyio.to_thread.run_sync(directory.log_tail, characters)

    async def cancel(self, job_id: str, detail: str = "It was cancelled.") -> Job:
        """End a queued job, or ask a running one to stop; `detail` is what its events say of that."""
        job = await self._supervisor.cancel((await self._row(job_id)).id)
        await self._say(job, "cancelled", detail)
        return job

    async def resume(self, job_id: str) -> Job:
        """Queue an ended or a trained job again."""
        job = await self._supervisor.resume((await self._row(job_id)).id)
        await self._say(job, "resumed", "It goes on behind the last stage that is done.")
        return job

    async def publish(
        self,
        job_id: str,
        checkpoint: Checkpoint | None = None,
        *,
        force: bool = False,
        name: str | None = None,
    ) -> Job:
        """Publish a job that was trained and not published, with `force` whatever was found wrong with it; one that was
        not exported, or is to be from another `checkpoint` or under another `name`, is queued for that first. Of a job
        that was published, failed or was cancelled, a checkpoint is published by another job, which is returned.
        """
        row = await self._row(job_id)
        if checkpoint is None and name is None and row.spec.get("export", True):
            return await self._supervisor.publish(job_id, force=force)
        name = row.model_name if name is None else valid_model_name(name)
        await require_free(self._store, self._runtime, name, by=row)
        async with self._supervisor.at_rest(job_id) as job:
            if job.status == "trained":

                def choose_one() -> None:
                    directory = self.directory(job.id)
                    spec = choose(directory, checkpoint, name)
                    wish_force(directory, force=force)
                    self._store.jobs.set_spec(job.id, spec)

                await anyio.to_thread.run_sync(choose_one)
        if job.status == "trained":
            return await self.resume(job_id)
        source = self.directory(job.id)
        exporting = await self._submitter.export(source, checkpoint, name, force=force)
        self._supervisor.wake()
        return exporting

    async def prefer(self, job_id: str, priority: int) -> Job:
        """Give a job another priority, which counts while it is queued."""
        return await anyio.to_thread.run_sync(self._store.jobs.set_priority, job_id, priority)

    async def delete(self, job_id: str) -> Job:
        """Delete a job that nothing works on; returns what it was."""
        job = await self._row(job_id)
        return await delete_job(self._store, self._runtime, self._supervisor, job.id)

    def directory(self, job_id: str) -> JobDirectory:
        """Where a job lies; the id is that of a row, never a caller's."""
        return self._supervisor.directory(job_id)

    def start(self) -> None:
        """Begin to run what is queued."""
        self._supervisor.start()

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator: what keeps queued jobs from running."""
        return await self._supervisor.check()

    async def _say(self, job: Job, type: str, detail: str) -> None:
        """Tell in its events what a caller did about it."""
        directory = self.directory(job.id)
        with contextlib.suppress(OSError):  # the wish has been granted, whether it is told or not
            await anyio.to_thread.run_sync(
                lambda: directory.append_event("job", type, detail=detail)
            )

    async def _directory(self, job_id: str) -> JobDirectory:
        return self.directory((await self._row(job_id)).id)

    async def _row(self, job_id: str) -> Job:
        return await anyio.to_thread.run_sync(self._store.jobs.get, job_id)
