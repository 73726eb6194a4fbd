"""The sweeps of a workspace: begun, looked at, called off, deleted; their jobs run in the queue with all others.

Each is a directory that describes itself. A run is a job that ends when it has trained; the best one can be published
on wish. Sweeps that were on their way when a process ended go on at the next start.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread

from api.data_folder.copying import pieces_of, write_hashed
from api.data_folder.shelf import Shelf, readable
from api.datasets.receiving import Upload
from api.errors import (
    ApiError,
    InvalidOption,
    JobNotFound,
    NameTaken,
    OutOfSpace,
    Unavailable,
    WrongState,
)
from api.jobs.choosing import exported_loss
from api.jobs.inputs import Given
from api.jobs.queue import JobQueue
from api.jobs.submit import Submission
from api.models.naming import require_free
from api.names import model_key, valid_model_name
from api.runtime import ModelRuntime
from api.store import Store
from api.store.jobs import Job
from api.sweeps.planning import check, plain, planned
from api.sweeps.search import Method, Parameters, Space, at_random, grid, promising
from api.sweeps.values import Sweep, Trial, best_of, from_card, is_over, space_of
from finetune.data.rows import FOLDS, Fold

LOGGER = logging.getLogger("api.sweeps")
LOOK_SECONDS = 2.0
ROWS: Mapping[Fold, str] = {fold: f"{fold}.rows" for fold in FOLDS}
"""The files of rows that lie beside `sweep.json` where they are of no dataset."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for."""

    model: str
    base_model: str | None
    datasets: Given
    method: Method
    space: Space
    runs: int
    settings: dict[str, Any]
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """A sweep, its runs, and the best of them so far."""

    sweep: Sweep
    trials: list[Trial]
    best: Trial | None


class Sweeps:
    """Every method that takes an id raises `errors.NotFound`."""

    def __init__(self, shelf: Shelf, store: Store, runtime: ModelRuntime, jobs: JobQueue) -> None:
        self._shelf = shelf
        self._store = store
        self._runtime = runtime
        self._jobs = jobs
        self._changing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def begin(self, wanted: Wanted) -> Found:
        """Check all of it, and queue what is known of it: with TPE the first run, else all."""
        name = valid_model_name(wanted.model)
        check(wanted.space, wanted.settings)
        known = planned(wanted.method, wanted.space, wanted.runs, wanted.seed)
        await require_free(self._store, self._runtime, name)
        for other in await _running(self._shelf):
            if model_key(other.model) == model_key(name):
                raise NameTaken(f"Sweep {other.id} is running for a model named {other.model!r}.")
        sweep = Sweep(
            id=self._shelf.new_id(),
            status="running",
            model=name,
            base_model=wanted.base_model,
            datasets={fold: _named(one) for fold, one in wanted.datasets.items()},
            method=wanted.method,
            space=plain(wanted.space),
            runs=len(known) if wanted.method != "tpe" else wanted.runs,
            settings=wanted.settings,
            seed=wanted.seed,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._shelf.growing(sweep.id) as folder:
            await anyio.to_thread.run_sync(_copy_rows, wanted.datasets, folder)
            await self._require_judges(sweep, known[0], folder)
            async with self._changing:
                await anyio.to_thread.run_sync(self._shelf.place, folder, sweep.id, sweep.card())
                await self._bring_on(sweep)
        return await self.show(sweep.id)

    async def _require_judges(self, sweep: Sweep, first: Parameters, folder: Path) -> None:
        """`errors.InvalidOption` where no rows would judge its runs, and whatever a job is refused for."""
        with _submission(sweep, first, folder) as submission:
            plan = await self._jobs.plan(submission)
        if not plan.eval_rows:
            raise InvalidOption(
                "Runs are compared by their loss on held-out rows, and there are none. Name an eval_dataset, or "
                "train on at least 10 rows.",
                where="eval_dataset",
            )

    async def page(self, after: str | None, limit: int) -> tuple[list[Sweep], bool]:
        """At most `limit`, newest first, behind the one of the id `after`; and whether there are more."""
        page, has_more = await anyio.to_thread.run_sync(self._shelf.page, after, limit)
        return readable(page, from_card), has_more

    async def show(self, id: str) -> Found:
        """One of them, with what its runs came to."""
        sweep = await anyio.to_thread.run_sync(self._get, id)
        trials = await self._trials(sweep)
        return Found(sweep, trials, best_of(trials))

    async def cancel(self, id: str) -> Found:
        """Call one off: its queued jobs end, and the one that runs at its next step. `errors.WrongState` at its end."""
        async with self._changing:
            sweep = await anyio.to_thread.run_sync(self._get, id)
            if sweep.status not in ("running", "failed"):
                raise WrongState(
                    f"Sweep {id} is {sweep.status}: there is nothing to cancel.", state=sweep.status
                )
            await self._write(replace(sweep, status="cancelled"))
            for job_id, _ in sweep.trials:
                with contextlib.suppress(WrongState, JobNotFound):
                    await self._jobs.cancel(job_id)
        return await self.show(id)

    async def publish(self, id: str) -> Job:
        """Export and publish the best run under the sweep's name; `errors.WrongState` while there is none."""
        async with self._changing:
            found = await self.show(id)
            if found.sweep.status == "running":
                raise WrongState(
                    f"Sweep {id} is running. Wait until it has ended, or cancel it.",
                    state="running",
                )
            if found.best is None:
                raise WrongState(f"No run of sweep {id} came to a loss.", state=found.sweep.status)
            await require_free(self._store, self._runtime, found.sweep.model)
            return await self._jobs.publish(found.best.job_id, name=found.sweep.model)

    async def delete(self, id: str) -> Sweep:
        """Delete one that has ended; its jobs stay. Returns what it was."""
        async with self._changing:
            sweep = await anyio.to_thread.run_sync(self._get, id)
            if sweep.status == "running":
                raise WrongState(
                    f"Sweep {id} is running. Cancel it, then delete it.", state="running"
                )
            await anyio.to_thread.run_sync(self._shelf.remove, id)
            return sweep

    def start(self, of: Callable[[str], "Sweeps"] | None = None) -> None:
        """Bring those that are on their way on, in a task of the running loop; `of` gives those of a workspace."""
        self._task = asyncio.create_task(self._run(of or (lambda _: self)))

    async def bring_on(self, id: str) -> None:
        """Queue the runs of one whose time has come."""
        async with self._changing:
            sweep = await anyio.to_thread.run_sync(self._get, id)
            if sweep.status == "running":
                await self._bring_on(sweep)

    async def close(self) -> None:
        """Let them wait for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, of: Callable[[str], "Sweeps"]) -> None:
        await anyio.to_thread.run_sync(self._shelf.sweep)
        everyone = self._shelf.of(None)
        while True:
            for sweep in await _running(everyone):
                try:
                    workspace = await anyio.to_thread.run_sync(everyone.owner, sweep.id)
                    await of(workspace).bring_on(sweep.id)
                except Exception:
                    LOGGER.exception(
                        "Sweep %s could not be brought on; it is tried again.", sweep.id
                    )
            await asyncio.sleep(LOOK_SECONDS)

    async def _bring_on(self, sweep: Sweep) -> None:
        """Queue the runs whose time has come; end the sweep when all are over."""
        try:
            while (parameters := await self._next(sweep)) is not None:
                sweep = await self._queue(sweep, parameters)
        except (Unavailable, OutOfSpace) as error:
            LOGGER.warning("Sweep %s waits: %s", sweep.id, error.detail)
            return
        except ApiError as error:
            LOGGER.warning("Sweep %s ends: %s", sweep.id, error.detail)
            await self._write(replace(sweep, status="failed", error=error.detail))
            return
        jobs = await self._jobs_of(sweep)
        if len(sweep.trials) == sweep.runs and all(job is None or is_over(job) for job in jobs):
            await self._write(replace(sweep, status="succeeded"))

    async def _next(self, sweep: Sweep) -> Parameters | None:
        """The parameters of the next run; None while an earlier one has to end first, and at the end."""
        number = len(sweep.trials)
        if number == sweep.runs:
            return None
        space = space_of(sweep.space)
        if sweep.method == "grid":
            return grid(space)[number]
        if sweep.method == "random":
            return at_random(space, sweep.runs, sweep.seed)[number]
        trials = await self._trials(sweep)
        if any(trial.status in ("queued", "running") for trial in trials):
            return None
        tried = [(trial.parameters, trial.eval_loss) for trial in trials]
        return await anyio.to_thread.run_sync(promising, space, tried, sweep.seed)

    async def _queue(self, sweep: Sweep, parameters: Parameters) -> Sweep:
        """Queue a run, unless a process that died behind it has done so."""
        number = len(sweep.trials)
        key = model_key(sweep.child_name(number))
        jobs = await anyio.to_thread.run_sync(self._store.jobs.all)
        job = next(
            (
                job
                for job in jobs
                if model_key(job.model_name) == key
                and job.created_at >= sweep.created_at
                and not job.spec.get("export", True)
                and all(job.spec.get(name) == value for name, value in parameters.items())
            ),
            None,
        )
        if job is None:
            with _submission(sweep, parameters, self._shelf.find(sweep.id)) as submission:
                job = await self._jobs.submit(submission)
        sweep = sweep.with_trial(job.id, parameters)
        await self._write(sweep)
        return sweep

    async def _trials(self, sweep: Sweep) -> list[Trial]:
        jobs = await self._jobs_of(sweep)

        def read() -> list[Trial]:
            return [
                self._trial(job_id, parameters, job)
                for (job_id, parameters), job in zip(sweep.trials, jobs, strict=True)
            ]

        return await anyio.to_thread.run_sync(read)

    def _trial(self, job_id: str, parameters: Parameters, job: Job | None) -> Trial:
        if job is None:
            return Trial(job_id, parameters, "deleted", None, None)
        directory = self._jobs.directory(job.id)
        seconds = directory.progress().stages.get("train")
        return Trial(job_id, parameters, job.status, exported_loss(directory), seconds)

    async def _jobs_of(self, sweep: Sweep) -> Sequence[Job | None]:
        every = {job.id: job for job in await anyio.to_thread.run_sync(self._store.jobs.all)}
        return [every.get(job_id) for job_id, _ in sweep.trials]

    async def _write(self, sweep: Sweep) -> None:
        await anyio.to_thread.run_sync(self._shelf.update, sweep.id, sweep.card())

    def _get(self, id: str) -> Sweep:
        return from_card(id, self._shelf.card(id))


async def _running(shelf: Shelf) -> list[Sweep]:
    try:
        every = readable(await anyio.to_thread.run_sync(shelf.all), from_card)
    except Exception:
        LOGGER.exception("The sweeps cannot be read; it is tried again.")
        return []
    return [sweep for sweep in every if sweep.status == "running"]


@contextlib.contextmanager
def _submission(sweep: Sweep, parameters: Parameters, folder: Path) -> Iterator[Submission]:
    """The next run as a job that ends when it has trained; `folder` is the sweep's."""
    name = sweep.child_name(len(sweep.trials))
    chosen = {**sweep.settings, **parameters, "export": False}
    given: dict[Fold, Upload | str] = dict(sweep.datasets)
    with contextlib.ExitStack() as stack:
        for fold, source in sweep.datasets.items():
            rows = folder / ROWS[fold]
            if rows.is_file():
                given[fold] = Upload(stack.enter_context(rows.open("rb")), source)
        yield Submission(name, sweep.base_model, chosen, given)


def _named(source: Upload | str) -> str:
    return source if isinstance(source, str) else source.name or ""


def _copy_rows(given: Given, folder: Path) -> None:
    """What is no dataset is kept with the sweep, so that all of its runs learn the same rows."""
    for fold, source in given.items():
        if isinstance(source, Upload):
            with (folder / ROWS[fold]).open("wb") as file:
                write_hashed(pieces_of(source.file), file)
