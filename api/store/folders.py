"""Opens the folders whose files the database describes."""

import logging

from api.data_folder.contents import DocumentFiles, JobFolders, ModelFiles
from api.data_folder.guarded import Folders, Guarded
from api.data_folder.lost import Lost
from api.settings import Settings
from api.store import Store

LOGGER = logging.getLogger("api")


def open_folders(settings: Settings, store: Store) -> Folders:
    """The folders that the database describes, judged before anything is added; what is off is logged."""
    lost, mine = Lost(settings.data_dir), store.installation
    documents, jobs, models = settings.documents_dir, settings.jobs_dir, settings.models_dir

    def job_ids() -> set[str]:
        return {one.id for one in store.jobs.all()}

    folders = Folders(
        Guarded(
            "documents",
            documents,
            mine,
            DocumentFiles(documents, store.contents.described, store.documents.ids),
            lost,
        ),
        Guarded("jobs", jobs, mine, JobFolders(jobs, job_ids), lost),
        Guarded("models", models, mine, ModelFiles(models, store.models.all), lost)
        if settings.runtime == "llama_cpp"
        else None,
        lost,
    )
    for note in folders.notes:
        LOGGER.warning("%s `llm-fastapi doctor` says what to do.", note)
    return folders
