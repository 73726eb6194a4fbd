"""Compares job folders with job rows. The rows are the truth: a folder without one is put aside."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from api.data_folder.findings import Finding
from api.data_folder.guarded import Guarded
from api.jobs.deleting import DELETED
from api.jobs.submit import GROWING
from api.jobs.supervise import FOLDER_MISSING
from api.store import Store
from api.store.jobs import Job, JobStatus
from finetune.job.directory import JobDirectory
from finetune.job.spec import UnknownSpec, parse_spec

_WITHOUT_FOLDER: dict[JobStatus, JobStatus] = {
    "queued": "failed",
    "running": "failed",
    "publishing": "trained",
}
_HALF = re.compile(rf"({re.escape(GROWING)}|{re.escape(DELETED)})job_[0-9a-f]{{16}}")
"""Folders that were growing, which nobody was told of, and those that were being deleted."""


def examine(store: Store, folder: Guarded, *, repair: bool) -> list[Finding]:
    """What is off between folders and rows; with `repair` it is put right.

    Nothing is told of a folder that does not belong to the database. Not to be called beside a submission in
    progress.
    """
    if folder.note:
        return []
    findings = [_half(store, path, repair) for path in _half_done(folder.path)]
    findings += [_stray(folder, path, repair) for path in folder.contents.unplaced()]
    findings += [_bare(store, job, repair) for job in store.jobs.all() if _is_bare(job, folder)]
    return findings


def drop_intermediates(store: Store, folder: Guarded) -> None:
    """Free the disk of what published jobs need no more, where a crash has come before it."""
    for job in store.jobs.all("succeeded"):
        JobDirectory(folder.path / job.id).drop_intermediates()


def _half_done(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _HALF.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield path


def _is_bare(job: Job, folder: Guarded) -> bool:
    return job.status in _WITHOUT_FOLDER and not (folder.path / job.id).exists()


def _half(store: Store, path: Path, repair: bool) -> Finding:
    if repair:
        shutil.rmtree(path, ignore_errors=True)
        if path.name.startswith(DELETED):
            store.jobs.remove(path.name.removeprefix(DELETED))
    return Finding(f"Folder {path.name} was left half done.", repair and not path.exists())


def _stray(folder: Guarded, path: Path, repair: bool) -> Finding:
    text = f"Folder {path.name} belongs to no job"
    if JobDirectory(path).is_locked():
        return Finding(f"{text}, and a process works in it.", False)
    if _is_of_another_release(JobDirectory(path)):
        return Finding(f"{text}, and another release wrote it: it stays as it is.", False)
    placed = folder.set_aside(path) if repair else None
    return Finding(f"{text}: moved to {placed}." if placed else f"{text}.", placed is not None)


def _is_of_another_release(directory: JobDirectory) -> bool:
    try:
        parse_spec(directory.spec_path.read_bytes())
    except UnknownSpec:
        return True
    except (OSError, ValueError):
        return False
    return False


def _bare(store: Store, job: Job, repair: bool) -> Finding:
    if repair:
        store.jobs.move(job.id, _WITHOUT_FOLDER[job.status], error=FOLDER_MISSING.model_dump())
    return Finding(f"Job {job.id} is {job.status} and has no folder.", repair)
