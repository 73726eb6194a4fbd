"""Leaves jobs to `python -m finetune.worker`, which watches the same folder (the GPU container)."""

from finetune.workspace import JobDirectory, workers

NO_WORKER = (
    "No worker watched the jobs folder when the job was started; it waits until one does. "
    "With compose: docker compose up -d worker."
)


class WorkerRunner:
    """`JobRunner` over a shared folder: a job with `start` and no outcome is the worker's."""

    def start(self, job: JobDirectory) -> None:
        """Let the worker take the job; one that has nobody to take it says so among its warnings."""
        if self.is_running(job):
            return
        if not any(workers(job.path.parent).values()):
            job.append_event("worker", "warning", detail=NO_WORKER)
        job.request_start()

    def is_running(self, job: JobDirectory) -> bool:
        """Whether the worker is at it, or takes it as soon as it is free."""
        return job.is_locked() or (job.is_start_requested() and job.outcome() is None)

    def cancel(self, job: JobDirectory) -> None:
        """Leave the wish in the directory; a job that nobody has taken yet is withdrawn."""
        job.request_cancel()
        if not job.is_locked():
            job.withdraw_start()

    def close(self) -> None:
        """Nothing to stop: the worker has a life of its own."""
