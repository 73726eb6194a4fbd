"""Where the imported files lie, under generated names; a user's file name never becomes a path.

doc_<hex>.pdf   the file as it was uploaded
doc_<hex>.json  whose it is and what it was called: by this it finds back into a database that begins anew
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from api.data_folder.guarded import Guarded
from finetune.job.locks import read_json, sync_file, sync_folder, write_atomically


@dataclass(frozen=True, slots=True)
class Label:
    """What a document is called, and the model that it belongs to; empty for all models."""

    name: str
    model: str


class Files:
    """One file a document, named by its id, with a label beside it."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded = guarded
        self._folder = guarded.path

    def path(self, document_id: str) -> Path:
        """Where a document's file lies."""
        return self._folder / f"{document_id}.pdf"

    def keep(self, file: Path, document_id: str, label: Label) -> None:
        """Move a received file here; it survives a power cut. The label comes first: no file is without."""
        sync_file(file)
        write_atomically(self._label_path(document_id), json.dumps(asdict(label)))
        file.replace(self.path(document_id))
        sync_folder(self._folder)

    def label(self, document_id: str) -> Label:
        """What is known of a file; a name of its id when nothing is."""
        match read_json(self._label_path(document_id)):
            case {"name": str(name), "model": str(model)}:
                return Label(name, model)
        return Label(f"{document_id}.pdf", "")

    def remove(self, document_id: str) -> None:
        """Take a document's file away; idempotent."""
        self.path(document_id).unlink(missing_ok=True)
        self._label_path(document_id).unlink(missing_ok=True)

    def exists(self, document_id: str) -> bool:
        """Whether a document's file is there."""
        return self.path(document_id).exists()

    def unplaced(self) -> list[str]:
        """Ids of files that belong to no document."""
        return [path.stem for path in self.guarded.contents.unplaced()]

    def set_aside(self, document_id: str) -> Path | None:
        """Move a file that belongs to no document to `lost/`; where it is now, None when it had to stay."""
        placed = self.guarded.set_aside(self.path(document_id))
        if placed and (label := self._label_path(document_id)).exists():
            self.guarded.set_aside(label)
        return placed

    def _label_path(self, document_id: str) -> Path:
        return self._folder / f"{document_id}.json"
