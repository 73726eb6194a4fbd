"""The rooms of fine-tuning over one folder, with a fake runtime and tiny pipelines."""

import asyncio
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api.data_folder import CARD
from api.datasets.opening import open_datasets
from api.datasets.receiving import Upload
from api.errors import ApiError
from api.jobs.opening import clear_leftovers, open_submitter, open_supervisor
from api.jobs.publish import Publisher
from api.jobs.submit import Submission
from api.models.bases import BaseModels
from api.models.workspaces import Workspaces
from api.runners.local import LocalRunner
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store.folders import open_folders
from api.store.jobs import Job, JobStatus
from finetune.data.rows import Fold
from finetune.job.device import Device, Gpu
from finetune.job.directory import JobDirectory
from tests.databases import open_migrated
from tests.fakes import FakeRuntime

SETTLED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled", "trained")


def command(program: str) -> tuple[str, ...]:
    """The command of a tiny pipeline."""
    return sys.executable, "-m", f"tests.jobs.programs.{program}"


def csv_file(rows: int = 40, cell: str | None = None) -> io.BytesIO:
    """A dataset in a file of its own, each row once unless it is said what stands there."""

    def quoted(number: int) -> str:
        turns = [
            {"role": "user", "content": f"hi {number}"},
            {"role": "assistant", "content": "ho"},
        ]
        return (json.dumps(turns) if cell is None else cell).replace('"', '""')

    lines = [f'"{quoted(number)}"\n' for number in range(1, rows + 1)]
    return io.BytesIO(("messages\n" + "".join(lines)).encode())


def submission(
    name: str = "tuned",
    base: str | None = "demo",
    *,
    train: io.BytesIO | None = None,
    eval: io.BytesIO | None = None,
    **parameters: Any,
) -> Submission:
    """What a caller sends; rows that nothing is wrong with, unless told otherwise."""
    datasets: dict[Fold, Upload] = {"train": Upload(train or csv_file())}
    if eval is not None:
        datasets["eval"] = Upload(eval)
    return Submission(name, base, parameters, datasets)


class Workshop:
    """Opens everything; a second one over the same folder is the next start."""

    def __init__(
        self,
        folder: Path,
        program: str = "trains_quickly",
        *,
        runtime: ModelRuntime | None = None,
        device: Device = "cpu",
        **settings_values: object,
    ) -> None:
        """`device` is what trains here."""
        values = {"data_dir": folder, "max_dataset_rows": 1000, **settings_values}
        settings = Settings.model_validate(values)
        self.settings = settings
        base = settings.base_models_dir / "demo"
        base.mkdir(parents=True, exist_ok=True)
        (base / "config.json").write_text("{}")
        self.jobs_dir = settings.jobs_dir
        self.store = open_migrated(settings.database_path)
        self.runtime = runtime or FakeRuntime()
        gpu = Gpu("test", 2**35) if device == "gpu" else None
        self.runner = LocalRunner(command(program), lambda: gpu)
        self.base_models = BaseModels(settings.base_models_dir, self.store.models)
        self.publisher = Publisher(self.store, self.runtime)
        self.folder = open_folders(settings, self.store).jobs
        clear_leftovers(self.folder, self.store)
        self.datasets = open_datasets(settings, self.base_models)
        self.submitter = open_submitter(
            settings,
            self.store,
            self.runtime,
            self.base_models,
            self.runner,
            self.folder,
            self.datasets,
        )
        workspaces = Workspaces(self.store, self.runtime)
        self.supervisor = open_supervisor(settings, workspaces, self.runner, self.folder)

    async def __aenter__(self) -> "Workshop":
        self.supervisor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()
        self.runner.close()

    async def vanish(self) -> None:
        """End as a killed process does: nothing is told to the pipelines."""
        await self.supervisor.close()
        self.store.close()

    async def submit(self, name: str = "tuned", **parameters: Any) -> Job:
        """Queue a job that nothing is wrong with."""
        job = await self.submitter.submit(submission(name, **parameters))
        self.supervisor.wake()
        return job

    def directory(self, job: Job) -> JobDirectory:
        """Where the job lies."""
        return self.supervisor.directory(job.id)

    async def until(self, job: Job, statuses: Sequence[JobStatus] = SETTLED) -> Job:
        """The job once it has one of these; `trained` counts when it stays so."""
        async with asyncio.timeout(60):
            while True:
                now = self.store.jobs.get(job.id)
                is_passing = now.status == "trained" and now.error is None
                if now.status in statuses and not is_passing:
                    return now
                await asyncio.sleep(0.02)

    async def begun(self, job: Job) -> None:
        """Wait until the pipeline has the job."""
        async with asyncio.timeout(60):
            while not self.directory(job).is_locked():
                await asyncio.sleep(0.02)

    def left_behind(self) -> list[str]:
        """What lies in the jobs folder beside the jobs."""
        known = {job.id for job in self.store.jobs.all()} | {CARD}
        return [path.name for path in self.jobs_dir.iterdir() if path.name not in known]


async def refused(awaitable: object) -> ApiError:
    """The error that a call ends with."""
    try:
        await awaitable  # type: ignore[misc]
    except ApiError as error:
        return error
    raise AssertionError("nothing was refused")
