"""Takes a fine-tuning request: checks all of it, then makes the job's directory and, last, its row.

The directory grows under a hidden name and is renamed when it is whole. A crash before the row
leaves a directory that nobody knows, which the next start puts aside: a job exists when its row does.
"""

import asyncio
import contextlib
import io
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from api.data_folder.guarded import Guarded
from api.datasets.datasets import Datasets
from api.datasets.receiving import Upload, Wanted
from api.errors import InvalidOption, OutOfSpace
from api.faults import point
from api.jobs.arriving import Arrival, hold_against, unpack
from api.jobs.exporting import begin_export
from api.jobs.foresight import Foresight
from api.jobs.inputs import Given, look_at_inputs, take_inputs
from api.jobs.owner import say_owner
from api.jobs.pages import Pages, PagesOf, pages_of, require_texts
from api.jobs.refusals import check_parameters, require
from api.models.bases import BaseModels, TrainableBase, require_finetune, require_fit
from api.models.naming import require_free
from api.names import valid_model_name
from api.runtime import ModelRuntime
from api.store import Store
from api.store.jobs import Job, new_job_id
from finetune.data.rows import Fold
from finetune.data.small_talk import as_json_lines
from finetune.job import programs
from finetune.job.directory import JobDirectory
from finetune.job.files import sync_folder, write_atomically
from finetune.job.parameters.checking import Bounds
from finetune.job.parameters.running import Checkpoint
from finetune.job.spec import LEARNS, FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.job.verified import wish_force
from finetune.lint.report import Report

GROWING = ".new-"
NO_PAGES = PagesOf(())


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller asks for. `parameters` are fields of `FineTuneSpec`; the rest is default. Without a name the model
    gets the job's id for one.
    """

    model_name: str | None
    base_model: str | None
    parameters: Mapping[str, Any]
    datasets: Given
    adapter: Arrival | None = None
    pages: PagesOf = NO_PAGES
    require_base: Callable[[str], None] = lambda _: None
    """Refuses a base that the caller may not use, also one that only the files name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a submission would run."""

    spec: FineTuneSpec
    rows: int
    eval_rows: int
    test_rows: int
    gradient_accumulation_steps: int
    steps: int
    preflight: Mapping[str, Any] | None
    lint: Report | None = None
    warnings: Sequence[Mapping[str, Any]] = ()


class Submitter:
    """The way in for jobs."""

    def __init__(
        self,
        store: Store,
        runtime: ModelRuntime,
        base_models: BaseModels,
        folder: Guarded,
        datasets: Datasets,
        foresight: Foresight,
        *,
        default_base: str,
        max_rows: int,
        max_file_bytes: int,
        trains_here: bool,
        bounds: Bounds | None,
    ) -> None:
        """`default_base` is trained where a submission names no base. `trains_here`: this installation runs the jobs,
        so it must have what trains. `bounds` are what the files of a job must keep to.
        """
        self._bounds = bounds
        self._default_base = default_base
        self._store = store
        self._runtime = runtime
        self._base_models = base_models
        self._folder = folder
        self._datasets = datasets
        self._foresight = foresight
        self._jobs_dir = folder.path
        self._max_rows = max_rows
        self._max_file_bytes = max_file_bytes
        self._trains_here = trains_here
        self._adding = asyncio.Lock()

    def tuned_from(self, model: str) -> str:
        """The base of a fine-tune, of any other model nothing; `errors.BaseModelNotTrainable` without a base."""
        base, record = self._base_models.find(model), self._store.models.get(model)
        return base.name if record and record.kind == "fine-tune" else ""

    async def plan(self, submission: Submission) -> Plan:
        """Check a submission and say what it would run; nothing is kept."""
        job_id = new_job_id()
        spec = await self._spec(submission, job_id)
        async with self._growing(job_id) as folder:
            return await self._looked_at(folder, submission, spec)

    async def submit(self, submission: Submission) -> Job:
        """Check a submission and queue it."""
        if self._trains_here:
            require_finetune()
        job_id = new_job_id()
        async with self._growing(job_id) as folder:
            submission = await anyio.to_thread.run_sync(self._unpacked, folder, submission)
            spec = await self._spec(submission, job_id)
            spec = (await self._looked_at(folder, submission, spec)).spec
            async with self._adding:
                await require_free(self._store, self._runtime, spec.model_name)
                return await anyio.to_thread.run_sync(self._add, folder, job_id, spec)

    async def export(
        self,
        source: JobDirectory,
        checkpoint: Checkpoint | None,
        name: str,
        *,
        force: bool = False,
    ) -> Job:
        """Queue a job that publishes a checkpoint of an ended one as the model `name`, and with `force` whatever is
        found wrong with it. `errors.NotFound` without such a checkpoint.
        """
        if self._trains_here:
            require_finetune()
        job_id = new_job_id()

        def begun(folder: Path) -> FineTuneSpec:
            job = JobDirectory(folder)
            spec = begin_export(source, job, checkpoint, name, self._bounds)
            wish_force(job, force=force)
            say_owner(job, self._store.jobs.workspace)
            return spec

        async with self._growing(job_id) as folder:
            spec = await anyio.to_thread.run_sync(begun, folder)
            async with self._adding:
                await require_free(self._store, self._runtime, name)
                return await anyio.to_thread.run_sync(self._add, folder, job_id, spec)

    async def _spec(self, submission: Submission, job_id: str) -> FineTuneSpec:
        name = valid_model_name(submission.model_name or job_id)
        wanted = self._default_base if submission.base_model is None else submission.base_model
        submission.require_base(wanted)
        base = await anyio.to_thread.run_sync(self._base_models.find, wanted)
        await anyio.to_thread.run_sync(require_fit, base)
        await require_free(self._store, self._runtime, name)
        parameters = {**submission.parameters, "bounds": self._bounds}
        folder = self._jobs_dir / job_id
        spec = await anyio.to_thread.run_sync(_spec, name, base, folder, parameters)
        if spec.importance_matrix and self._trains_here:
            _require_programs()
        return spec

    def _unpacked(self, folder: Path, submission: Submission) -> Submission:
        """With what an adapter that came along says of itself, and rows to verify it on."""
        if submission.adapter is None:
            return submission
        arrived = unpack(submission.adapter, JobDirectory(folder), self._max_file_bytes)
        parameters = {**submission.parameters, **arrived.parameters}
        datasets = submission.datasets
        if not datasets:
            datasets = {"train": Upload(io.BytesIO(as_json_lines()))}
            parameters["compare_rows"] = 0  # ours say nothing of what it is good for
        named = PurePath(arrived.base).name or None
        base = submission.base_model or named
        return replace(submission, base_model=base, parameters=parameters, datasets=datasets)

    @contextlib.asynccontextmanager
    async def _growing(self, job_id: str) -> AsyncIterator[Path]:
        folder = self._jobs_dir / f"{GROWING}{job_id}"
        try:
            with OutOfSpace.with_detail("The disk is full: no job was made. Free some space."):
                yield folder
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))

    async def _looked_at(self, folder: Path, submission: Submission, spec: FineTuneSpec) -> Plan:
        plan = await anyio.to_thread.run_sync(self._filled, folder, submission, spec)
        return replace(plan, lint=await look_at_inputs(JobDirectory(folder), plan.spec))

    def _filled(self, folder: Path, submission: Submission, spec: FineTuneSpec) -> Plan:
        """Make the directory and read its datasets from beginning to end."""
        job = JobDirectory(folder)
        pages = self._pages(submission, spec)
        given: dict[Fold, Upload | str] = dict(submission.datasets)
        if pages:
            given["train"] = pages.upload
        wanted = Wanted(spec.wish(), self._max_rows, LEARNS[spec.method])
        inputs = take_inputs(given, job, wanted, self._datasets)
        origins = dict(inputs.origins)
        if pages:
            origins["train"] = origins["train"].model_copy(update={"documents": pages.documents})
        spec = spec.model_copy(update={"datasets": origins})
        if submission.adapter is not None:
            base = (self._jobs_dir / job.path.name / spec.base_model_folder).resolve()
            hold_against(job, base, spec.chat_template)
        rows = inputs.counts["train"]
        if spec.method != "pretrain":  # a text makes as many sequences as it is long
            require(spec.refused_schedule(rows))
        write_atomically(job.spec_path, spec.model_dump_json(indent=1))
        say_owner(job, self._store.jobs.workspace)
        if doubt := spec.doubt_of_choice(inputs.counts.get("eval", 0)):
            job.append_event("dataset", "warning", kind="few_held_out", detail=doubt)
        preflight = self._foresight.look(job, spec, rows, inputs.counts.get("eval", 0))
        return Plan(
            spec,
            rows,
            inputs.counts.get("eval", 0),
            inputs.counts.get("test", 0),
            spec.accumulation(rows),
            spec.steps(rows),
            preflight,
            warnings=job.progress().warnings,
        )

    def _pages(self, submission: Submission, spec: FineTuneSpec) -> Pages | None:
        """What the documents give in the place of a file."""
        if not submission.pages:
            return None
        require_texts(submission.pages, spec.method, "train" in submission.datasets)
        model = self._default_base if submission.base_model is None else submission.base_model
        return pages_of(self._store, submission.pages, model)

    def _add(self, folder: Path, job_id: str, spec: FineTuneSpec) -> Job:
        with self._folder.adding():
            return self._placed(folder, job_id, spec)

    def _placed(self, folder: Path, job_id: str, spec: FineTuneSpec) -> Job:
        placed = folder.rename(self._jobs_dir / job_id)
        try:
            sync_folder(self._jobs_dir)
            point("job_placed")
            job = self._store.jobs.add(
                job_id, spec.model_name, spec.base_model, spec.model_dump(), spec.priority
            )
        except BaseException:
            shutil.rmtree(placed, ignore_errors=True)
            raise
        point("job_added")
        return job


def _spec(
    name: str, base: TrainableBase, folder: Path, parameters: Mapping[str, Any]
) -> FineTuneSpec:
    try:
        spec = FineTuneSpec(
            model_name=name,
            base_model=base.name,
            base_model_folder=os.path.relpath(base.folder.absolute(), folder.absolute()),
            **parameters,
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidOption(f"{field}: {first['msg']}.", where=field) from error
    check_parameters(spec, base.folder)
    return spec


def _require_programs() -> None:
    try:
        programs.require_for_importance()
    except StageFailed as error:
        raise InvalidOption(error.detail, where="importance_matrix") from error
