"""Chooses the runner."""

from api.runners import JobRunner
from api.runners.local import LocalRunner
from api.runners.worker import WorkerRunner
from api.settings import Settings


def open_runner(settings: Settings) -> JobRunner:
    """The runner that the settings name."""
    return WorkerRunner(settings.jobs_dir) if settings.runner == "worker" else LocalRunner()
