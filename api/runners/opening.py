"""Chooses the runner."""

from api.runners import JobRunner
from api.runners.local import LocalRunner
from api.runners.worker import WorkerRunner
from api.settings import Settings


def open_runner(settings: Settings) -> JobRunner:
    """The runner that the settings name."""
    if settings.runner == "worker":
        return WorkerRunner(settings.jobs_dir)
    return LocalRunner(trackers=settings.trackers)
