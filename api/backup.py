"""`llm-fastapi backup DIR`: a consistent copy of the data folder, while the service runs or not.

The database is copied as it is at one moment. The files that it describes are whole from the moment they have their
name and never change, so they are copied as they lie; when one has gone meanwhile, the database is copied again.
What can be made again, the vectors and the word index, is left out.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from api.data_folder import DATABASE, SHELVES, FolderName
from api.data_folder.contents import (
    DOCUMENT,
    JOB,
    LABEL,
    MANIFEST,
    WEIGHTS,
    Contents,
    DocumentFiles,
    JobFolders,
    Named,
    files_made,
    folders_made,
)
from api.data_folder.guarded import Card, read_card, write_card
from api.errors import CannotStart
from api.models.bases import DEMO_DELETED, PROJECTOR, is_base
from api.models.naming import is_live
from api.settings import Settings
from api.store import Store, open_store
from api.store.database import copy_database
from api.store.jobs import Job
from finetune.job.directory import LOCK


@dataclass(frozen=True, slots=True)
class Copied:
    """How much a backup holds. `models` is None where another service keeps them."""

    documents: int
    jobs: int
    models: int | None


def back_up(settings: Settings, target: Path) -> Copied:
    """Copy everything into a folder that is new or empty; the database gets its name last of all.

    `errors.CannotStart` when there is nothing to copy or no room for it, or the database is damaged.
    """
    if not settings.database_path.is_file():
        raise CannotStart(f"There is no database in {settings.data_dir}: nothing to back up.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CannotStart(f"{target} is not an empty folder. Name a new one for each backup.")
    if target.resolve().is_relative_to(settings.data_dir.resolve()):
        raise CannotStart(f"{target} lies in the data folder. Name one on another disk.")
    try:
        return _Backup(settings, target).run()
    except CannotStart as error:
        raise CannotStart(f"The backup in {target} is not whole. Delete it. {error}") from error
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CannotStart(f"The backup in {target} is not whole ({reason}). Delete it.") from error


class _Backup:
    def __init__(self, settings: Settings, target: Path) -> None:
        self._settings = settings
        self._target = target
        self._halves: set[str] = set()  # jobs that were copied while they were on their way

    def run(self) -> Copied:
        """Go round until nothing that the database describes has gone meanwhile."""
        self._target.mkdir(parents=True, exist_ok=True)
        has_models = self._settings.runtime == "llama_cpp"
        if has_models:  # most of it; what changes meanwhile is copied in the end
            copy_models(self._settings.models_dir, self._folder("models"))
        self._base_models()
        self._shelves()
        growing = self._target / f"{DATABASE}.growing"
        missing, before = self._round(growing), set[str]()
        while missing - before:
            missing, before = self._round(growing), missing
        models = (
            copy_models(self._settings.models_dir, self._folder("models")) if has_models else None
        )
        growing.rename(self._target / DATABASE)
        return Copied(
            len(list(files_made(self._target / "documents", DOCUMENT))),
            len(list(folders_made(self._target / "jobs", JOB))),
            models,
        )

    def _round(self, database: Path) -> set[str]:
        """Copy the database, and what it describes and is not there yet; returns what is not to be found."""
        names: tuple[FolderName, ...] = ("documents", "jobs", "models")
        cards = {name: read_card(self._settings.data_dir / name) for name in names}
        copy_database(self._settings.database_path, database)
        store = open_store(database)
        try:
            jobs = {job.id: job for job in store.jobs.all()}
            pdfs = {
                Named(one.content_id, one.collection, one.name)
                for one in store.documents.all("importing", "ready")
            }
            contents: dict[FolderName, Contents] = {
                "documents": DocumentFiles(
                    self._copy_documents(), lambda: pdfs, store.documents.ids
                ),
                "jobs": JobFolders(self._copy_jobs(jobs), lambda: jobs.keys()),
            }
            for name, card in cards.items():
                if card is not None:
                    self._copy_card(store, name, card, contents.get(name))
            return {one for some in contents.values() for one in some.missing()}
        finally:
            store.close()

    def _copy_documents(self) -> Path:
        source, target = self._settings.documents_dir, self._folder("documents")
        for path in (*files_made(source, LABEL), *files_made(source, DOCUMENT)):
            _copy_file(path, target / path.name)
        return target

    def _copy_jobs(self, jobs: dict[str, Job]) -> Path:
        """Of one on its way what is done, which its stage goes on from."""
        target = self._folder("jobs")
        for folder in folders_made(self._settings.jobs_dir, JOB):
            copy, job = target / folder.name, jobs.get(folder.name)
            is_on_its_way = job is not None and is_live(job)
            if copy.exists() and (is_on_its_way or folder.name in self._halves):
                shutil.rmtree(copy)
            self._halves.discard(folder.name)
            if is_on_its_way:
                self._halves.add(folder.name)
                _copy_tree(folder, copy, {LOCK, *_stages_in_work(folder)})
            elif not copy.exists():
                _copy_tree(folder, copy, {LOCK})
        return target

    def _copy_card(
        self, store: Store, name: FolderName, before: Card, contents: Contents | None
    ) -> None:
        """The database's mark where both belong together, and then nothing that came after it; else as it is."""
        mark, after = store.installation.mark(name) or 0, read_card(self._settings.data_dir / name)
        is_ours = before.id == store.installation.id()
        if not (is_ours and after and before.mark <= mark <= after.coming):
            return write_card(self._folder(name), before)
        for path in contents.unplaced() if contents else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)
        return write_card(self._folder(name), Card(before.id, mark, mark))

    def _base_models(self) -> None:
        source = self._settings.base_models_dir
        for path in sorted(source.iterdir()) if source.is_dir() else ():
            copy = self._folder("base_models") / path.name
            if is_base(path):
                _copy_tree(path, copy)
            elif path.name == DEMO_DELETED or path.suffix in (".gguf", PROJECTOR):
                _copy_file(path, copy)

    def _shelves(self) -> None:
        """What has its name is whole; what is still growing has none."""
        for shelf in SHELVES:
            for path in sorted((self._settings.data_dir / shelf).glob("[a-z]*_*")):
                if path.is_dir() and not path.is_symlink():
                    _copy_tree(path, self._folder(shelf) / path.name)

    def _folder(self, name: str) -> Path:
        folder = self._target / name
        folder.mkdir(exist_ok=True)
        return folder


def _stages_in_work(job: Path) -> set[str]:
    """The stages whose files may change under the copy."""
    folders = {path for path in job.iterdir() if path.is_dir() and path.name != "inputs"}
    return {path.name for path in folders if not (path / "done.json").is_file()}


def _copy_tree(source: Path, target: Path, left_out: Collection[str] = ()) -> None:
    """A folder, without what has one of these names directly in it; what goes meanwhile is not copied."""
    target.mkdir()
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(source.iterdir()):
            if path.name in left_out:
                continue
            if path.is_dir() and not path.is_symlink():
                _copy_tree(path, target / path.name)
            else:
                _copy_file(path, target / path.name)


def copy_models(source: Path, target: Path) -> int:
    """All weights and the manifests that were there before them, in place of an earlier copy; how many models."""
    manifests = list(files_made(source / "manifests", MANIFEST))
    weights = list(files_made(source / "blobs", WEIGHTS))
    _drop_others(target / "blobs", weights)
    _drop_others(target / "manifests", ())
    for path in (*weights, *manifests):
        _copy_file(path, target / path.parent.name / path.name)
    return len(list(files_made(target / "manifests", MANIFEST)))


def _drop_others(copies: Path, originals: Collection[Path]) -> None:
    """Remove the copies of what is not there any more."""
    for gone in {path.name for path in copies.glob("*")} - {path.name for path in originals}:
        (copies / gone).unlink()


def _copy_file(source: Path, target: Path) -> bool:
    """Whether it was still there to be copied; one that was copied already stays."""
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        try:
            shutil.copy2(source, target, follow_symlinks=False)
        except FileNotFoundError:
            return False
    return True


def said(copied: Copied) -> Iterator[str]:
    """What was copied, and what was not."""
    yield f"Copied the database. Documents: {copied.documents}, jobs: {copied.jobs}."
    if copied.models is None:
        yield "The models are Ollama's: copy its folder or volume too."
    else:
        yield f"Copied the models: {copied.models}."
