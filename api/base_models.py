"""The Hugging Face folders that can be fine-tuned, by name.

A persona or a fine-tune stands for its own base.
"""

from dataclasses import dataclass
from pathlib import Path

from api.errors import BaseModelNotTrainable
from api.names import model_key
from api.store.models import Models

MARKER = "config.json"


@dataclass(frozen=True, slots=True)
class TrainableBase:
    """A trainable base: its name is its folder's."""

    name: str
    folder: Path


class BaseModels:
    """The folders below one directory. All calls are synchronous."""

    def __init__(self, folder: Path, models: Models) -> None:
        self._folder = folder
        self._models = models

    def all(self) -> list[TrainableBase]:
        """Every trainable base, sorted by name."""
        try:
            folders = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []
        return [TrainableBase(path.name, path) for path in folders if _is_base(path)]

    def names(self) -> list[str]:
        """Their names, sorted."""
        return [base.name for base in self.all()]

    def find(self, name: str) -> TrainableBase:
        """The base that a model of this name is trained from; `errors.BaseModelNotTrainable`."""
        bases = {model_key(base.name): base for base in self.all()}
        records = self._models.all()
        key, seen = model_key(name), set[str]()
        while key not in bases:
            record = records.get(key)
            seen.add(key)
            if record is None or not record.base or model_key(record.base) in seen:
                raise BaseModelNotTrainable(name, [base.name for base in bases.values()])
            key = model_key(record.base)
        return bases[key]


def _is_base(folder: Path) -> bool:
    return not folder.name.startswith(".") and (folder / MARKER).is_file()
