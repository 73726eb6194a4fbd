"""Whose a job is, beside its files: by this it finds back into a database that begins anew."""

from api.names import WORKSPACE
from finetune.job.directory import JobDirectory
from finetune.job.files import write_atomically

FILE = "workspace"


def say_owner(directory: JobDirectory, workspace: str) -> None:
    """Write it down; of the first workspace nothing is written."""
    if workspace != WORKSPACE:
        write_atomically(directory.path / FILE, workspace)


def owner_of(directory: JobDirectory) -> str:
    """The workspace of a job's folder."""
    try:
        return (directory.path / FILE).read_text("utf-8")
    except FileNotFoundError:
        return WORKSPACE
