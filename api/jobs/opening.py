"""Opens the way in for jobs and their supervisor over one data folder."""

import logging

from api.data_folder.guarded import Guarded
from api.datasets.datasets import Datasets
from api.jobs import doctor
from api.jobs.foresight import Foresight
from api.jobs.submit import Submitter
from api.jobs.supervise import Supervisor
from api.models.bases import BaseModels
from api.models.workspaces import Workspaces
from api.runners import JobRunner
from api.runtime import ModelRuntime
from api.settings import Settings
from api.store import Store
from finetune.job.kept_bases import sweep_kept_bases

LOGGER = logging.getLogger("api.jobs")


def open_submitter(
    settings: Settings,
    store: Store,
    runtime: ModelRuntime,
    base_models: BaseModels,
    runner: JobRunner,
    folder: Guarded,
    datasets: Datasets,
) -> Submitter:
    """The way in for the jobs of a workspace: store, runtime, bases and datasets are as that one sees them."""
    return Submitter(
        store,
        runtime,
        base_models,
        folder,
        datasets,
        Foresight(folder.path, runner),
        default_base=settings.default_trainable_model,
        max_rows=settings.max_dataset_rows,
        max_file_bytes=settings.max_upload_bytes,
        trains_here=settings.runner == "local",
        bounds=settings.verify_bounds,
    )


def open_supervisor(
    settings: Settings, workspaces: Workspaces, runner: JobRunner, folder: Guarded
) -> Supervisor:
    """The life of the jobs of all workspaces."""
    return Supervisor(
        workspaces,
        runner,
        data_dir=settings.data_dir,
        jobs_dir=folder.path,
        training_jobs=settings.training_jobs,
        chat_while_training=settings.chat_while_training,
    )


def clear_leftovers(folder: Guarded, store: Store) -> None:
    """Put right what a crash has left; a submission in progress would be taken for one.

    Nothing where folder and database may not belong together.
    """
    if not folder.may_sweep:
        return
    for text, _ in doctor.examine(store, folder, repair=True):
        LOGGER.warning("%s", text)
    doctor.drop_intermediates(store, folder)
    sweep_kept_bases(folder.path)
