"""Base models below one directory: Hugging Face folders that can be fine-tuned, and GGUF files on their way in.

    NAME/       a trainable folder; a persona or a fine-tune of NAME stands for it
    NAME.gguf   waits for the runtime, which takes it in; then it is removed here
    NAME.mmproj its projector, with which it sees: taken in and removed with it

`finetune.bases.load` puts both there, whole, by a rename; the names of what is not whole begin with a dot.
"""

import contextlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from api.errors import BaseModelNotTrainable, BaseModelUnfit, InvalidName, NotReady
from api.names import model_key, valid_model_name
from api.store.models import Models
from finetune.bases import refusals
from finetune.job import tried
from finetune.job.stage import StageFailed

INSTALL = "pip install -c constraints.txt -e '.[finetune]'"
MARKER = "config.json"
PROJECTOR = ".mmproj"
DEMO = "demo"
"""The base model that comes with the service."""
DEMO_DELETED = ".demo.deleted"
"""Says that the demo model was deleted: neither model nor folder is made again at the next start."""


@dataclass(frozen=True, slots=True)
class TrainableBase:
    """A trainable base: its name is its folder's."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class WaitingBase:
    """A GGUF file that the runtime is to take in, and behind it its projector where it has one; `inodes` tell the files
    from others that take their place meanwhile.
    """

    name: str
    files: tuple[Path, ...]
    inodes: tuple[int, ...]

    @property
    def file(self) -> Path:
        """The model."""
        return self.files[0]

    @property
    def projector(self) -> Path | None:
        """What it sees with."""
        return self.files[1] if len(self.files) > 1 else None


class BaseModels:
    """The folders and files below one directory. All calls are synchronous."""

    def __init__(self, folder: Path, models: Models) -> None:
        self._folder = folder
        self._models = models

    def all(self) -> list[TrainableBase]:
        """Every trainable base, sorted by name."""
        return [TrainableBase(path.name, path) for path in self._paths() if is_base(path)]

    def names(self) -> list[str]:
        """Their names, sorted."""
        return [base.name for base in self.all()]

    def find(self, name: str) -> TrainableBase:
        """The base that a model of this name is trained from; `errors.BaseModelNotTrainable`."""
        bases = {model_key(base.name): base for base in self.all()}
        record = self._models.get(name)
        for each in (name, record.root if record else ""):
            if base := bases.get(model_key(each)):
                return base
        raise BaseModelNotTrainable(name, [base.name for base in bases.values()])

    def folder_of(self, name: str) -> Path | None:
        """The trainable folder of exactly this name."""
        return next((b.folder for b in self.all() if model_key(b.name) == model_key(name)), None)

    def waiting(self) -> list[WaitingBase]:
        """GGUF files that the runtime is to take in, sorted by name."""
        found = []
        for path in self._paths():
            with contextlib.suppress(InvalidName, FileNotFoundError):
                if path.suffix == ".gguf" and path.is_file():
                    projector = path.with_suffix(PROJECTOR)
                    files = [path, *([projector] if projector.is_file() else [])]
                    inodes = tuple(file.stat().st_ino for file in files)
                    found.append(WaitingBase(valid_model_name(path.stem), tuple(files), inodes))
        return found

    def taken_in(self, base: WaitingBase) -> None:
        """The runtime has it: its files go, unless others have taken their place."""
        for file, inode in zip(base.files, base.inodes, strict=True):
            if file.stat().st_ino == inode:
                file.unlink()
        if model_key(base.name) == DEMO:
            (self._folder / DEMO_DELETED).unlink(missing_ok=True)

    def deleted(self, name: str) -> None:
        """The model was deleted from the runtime: it does not come back by itself."""
        for base in self.waiting():
            if model_key(base.name) == model_key(name):
                for file in base.files:
                    file.unlink(missing_ok=True)
        if model_key(name) == DEMO:
            self._folder.mkdir(exist_ok=True)
            (self._folder / DEMO_DELETED).touch()

    def _paths(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []


def is_base(folder: Path) -> bool:
    """Whether it is a trainable folder; one that is closed to us, such as `lost+found`, is somebody else's."""
    try:
        return not folder.name.startswith(".") and (folder / MARKER).is_file()
    except PermissionError:
        return False


def require_fit(base: TrainableBase) -> None:
    """`errors.BaseModelUnfit`, when its small files or an earlier trial say that it cannot be fine-tuned."""
    try:
        refusals.refuse(base.folder, base.name)
        tried.known(base.folder)
    except StageFailed as error:
        raise BaseModelUnfit(error.detail) from error


def require_finetune() -> None:
    """`errors.NotReady` with the command that brings torch and what trains with it, unless it is installed."""
    if importlib.util.find_spec("torch") is None:
        raise NotReady(f"Fine-tuning needs the finetune extra: {INSTALL}", retry_after_seconds=60)
