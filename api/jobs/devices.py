"""Gives a job that trains its device to itself: the runtime's models leave it, and none is loaded there meanwhile."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio.to_thread

from api.errors import ApiError
from api.runners import JobRunner
from api.runtime import ModelRuntime
from api.runtime.training import Training
from finetune.job.directory import JobDirectory

LOGGER = logging.getLogger("api.jobs")
ESTIMATE_SECONDS = 5.0


class TrainingDevices:
    """What trains, as the runtime was told last; nothing when the devices are `shared`, where both fit."""

    def __init__(self, runtime: ModelRuntime, runner: JobRunner, *, shared: bool) -> None:
        self._runtime = runtime
        self._runner = runner
        self._shared = shared
        self._trainings: list[Training] = []
        self._told_at = 0.0

    @property
    def holds_gpu(self) -> bool:
        """Whether a job has a GPU to itself."""
        return any(training.device == "gpu" for training in self._trainings)

    def check(self) -> tuple[str, ...]:
        """Hints for the operator: why calls are refused though all is well."""
        return tuple(
            f"Job {training.job_id} has the GPU to itself: what needs a model there is refused (503) until it ends."
            for training in self._trainings
            if training.device == "gpu"
        )

    async def reserve(self, jobs: Sequence[JobDirectory]) -> None:
        """These train now or are about to, and no other: what lies on a device that is newly taken is unloaded."""
        if self._shared or (not jobs and not self._trainings) or self._is_told(jobs):
            return
        before = {(one.job_id, one.device) for one in self._trainings}
        self._trainings = await anyio.to_thread.run_sync(self._found, jobs)
        self._told_at = time.monotonic()
        self._runtime.reserve(self._trainings)
        for training in self._trainings:
            if (training.job_id, training.device) not in before:
                await self._release(training)

    def _is_told(self, jobs: Sequence[JobDirectory]) -> bool:
        is_recent = time.monotonic() - self._told_at < ESTIMATE_SECONDS
        return is_recent and [job.id for job in jobs] == [one.job_id for one in self._trainings]

    def _found(self, jobs: Sequence[JobDirectory]) -> list[Training]:
        """The jobs whose device is known; one that nobody works on yet has none."""
        found = []
        for job in jobs:
            device = self._runner.device(job)
            if device is not None:
                seconds = job.progress().eta_seconds
                now = datetime.now(UTC)
                ends_at = now + timedelta(seconds=seconds) if seconds is not None else None
                found.append(Training(job.id, device, ends_at))
        return found

    async def _release(self, training: Training) -> None:
        told = "has the GPU to itself" if training.device == "gpu" else "trains on the CPU"
        LOGGER.info("Job %s %s.", training.job_id, told)
        try:
            await self._runtime.release_memory(training.device)
        except ApiError as error:
            LOGGER.warning("The runtime did not give its memory back: %s", error.detail)
