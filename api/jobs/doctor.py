"""Compares job folders with job rows. The rows are the truth: a folder without one is nobody's."""

import shutil
from pathlib import Path

from api.errors import Finding
from api.jobs.submit import GROWING
from api.store import Store
from api.store.jobs import Job, JobStatus
from finetune.job.directory import JobDirectory

_WITHOUT_FOLDER: dict[JobStatus, JobStatus] = {
    "queued": "failed",
    "running": "failed",
    "publishing": "trained",
}


def examine(store: Store, jobs_dir: Path, *, repair: bool) -> list[Finding]:
    """What is off between folders and rows; with `repair` it is put right.

    Not to be called beside a submission in progress.
    """
    jobs = {job.id: job for job in store.jobs.all()}
    folders = sorted(jobs_dir.iterdir()) if jobs_dir.is_dir() else []
    names = {folder.name for folder in folders}
    findings = [_folder(folder, repair) for folder in folders if _is_stray(folder, jobs)]
    findings += [_row(store, job, repair) for job in jobs.values() if _is_bare(job, names)]
    return findings


def _is_stray(folder: Path, jobs: dict[str, Job]) -> bool:
    return folder.is_dir() and folder.name.startswith((GROWING, "job_")) and folder.name not in jobs


def _is_bare(job: Job, folders: set[str]) -> bool:
    return job.status in _WITHOUT_FOLDER and job.id not in folders


def _folder(folder: Path, repair: bool) -> Finding:
    if JobDirectory(folder).is_locked():
        return Finding(f"Folder {folder.name} belongs to no job, and a process works in it.", False)
    if repair:
        shutil.rmtree(folder, ignore_errors=True)
    return Finding(f"Folder {folder.name} belongs to no job.", repair and not folder.exists())


def _row(store: Store, job: Job, repair: bool) -> Finding:
    if repair:
        error = {"title": "Folder missing", "detail": "The job's folder is gone. Submit it again."}
        store.jobs.move(job.id, _WITHOUT_FOLDER[job.status], error=error)
    return Finding(f"Job {job.id} is {job.status} and has no folder.", repair)
