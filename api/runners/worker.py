"""Leaves jobs to `python -m finetune.worker`, which watches the same folder (the GPU container)."""

from pathlib import Path

from finetune.job.device import Device
from finetune.job.directory import JobDirectory
from finetune.job.hardware import Hardware
from finetune.job.workers import worker_device, worker_hardware, workers

START_ONE = "With compose: docker compose up -d worker."
NO_WORKER = f"No worker watches the jobs folder: jobs wait until one does. {START_ONE}"
NO_WORKER_AT_START = (
    "No worker watched the jobs folder when the job was started; it waits until one does. "
    + START_ONE
)


class WorkerRunner:
    """`JobRunner` over a shared folder: a job with `start` and no outcome is the worker's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, job: JobDirectory) -> None:
        """Let the worker take the job; one that has nobody to take it says so among its warnings."""
        if self.is_running(job):
            return
        if self.check():
            job.append_event("worker", "warning", detail=NO_WORKER_AT_START)
        job.request_start()

    def is_running(self, job: JobDirectory) -> bool:
        """Whether the worker is at it, or takes it as soon as it is free."""
        return job.is_locked() or (job.is_start_requested() and job.outcome() is None)

    def cancel(self, job: JobDirectory) -> None:
        """Leave the wish in the directory; a job that nobody has taken yet is withdrawn."""
        job.request_cancel()
        if not job.is_locked():
            job.withdraw_start()

    def device(self, job: JobDirectory) -> Device | None:
        """What the workers say that live."""
        del job
        return worker_device(self._folder)

    def hardware(self, jobs_dir: Path) -> Hardware | None:
        """What the workers have written beside the jobs."""
        return worker_hardware(jobs_dir)

    def check(self) -> tuple[str, ...]:
        """That no worker lives, which leaves a running job running without a word."""
        return () if any(workers(self._folder).values()) else (NO_WORKER,)

    def close(self) -> None:
        """Nothing to stop: the worker has a life of its own."""
