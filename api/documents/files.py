"""Where the imported files lie, under generated names; a user's file name never becomes a path.

doc_<hex>.KIND  the file as it was uploaded, a PDF or another of `names.KINDS`
doc_<hex>.json  which collections have it under which name: by this it finds back into a database that begins anew
"""

import errno
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from api.data_folder.contents import Named
from api.data_folder.guarded import Guarded
from api.data_folder.leftovers import INCOMING
from api.names import FOR_ALL, KINDS, WORKSPACE
from finetune.job.files import read_json, sync_file, sync_folder, write_atomically


@dataclass(frozen=True, slots=True)
class Label:
    """What a document is called, and the name of its collection with the embedding model that it names; and whose."""

    name: str
    collection: str
    embedder: str = ""
    workspace: str = WORKSPACE


class Files:
    """One file a content, named by its id, which is that of the document that brought it, with its labels beside it."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded = guarded
        self._folder = guarded.path

    def path(self, content_id: str) -> Path:
        """Where a content's file lies; that of a PDF where there is none."""
        places = [self._folder / f"{content_id}.{kind}" for kind in KINDS]
        return next((place for place in places if place.exists()), places[0])

    def keep(self, file: Path, content_id: str, label: Label, kind: str = "pdf") -> None:
        """Move a received file here; it survives a power cut. The label comes first: no file is without."""
        sync_file(file)
        self.relabel(content_id, [label])
        self._bring(file, content_id, kind)
        sync_folder(self._folder)

    def share(self, content_id: str, other_id: str, labels: Sequence[Label]) -> None:
        """Let another content have the same file, on the same room where the file system can; if it is not missing."""
        path = self.path(content_id)
        self.relabel(other_id, labels)
        if path.exists():
            place = path.with_name(f"{other_id}{path.suffix}")
            try:
                place.hardlink_to(path)
            except OSError:
                self._copy(path, place)
        sync_folder(self._folder)

    def _bring(self, file: Path, content_id: str, kind: str) -> None:
        """In one step; from another volume by a copy."""
        place = self._folder / f"{content_id}.{kind}"
        try:
            file.replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(file, place)

    def _copy(self, file: Path, place: Path) -> None:
        """It gets its name when it is whole."""
        growing = self._folder / f"{INCOMING}{place.stem.rpartition('_')[2]}"
        try:
            shutil.copyfile(file, growing)
            sync_file(growing)
            growing.replace(place)
        finally:
            growing.unlink(missing_ok=True)

    def relabel(self, content_id: str, labels: Sequence[Label]) -> None:
        """Say which documents have a content, in place of what was said before."""
        written = json.dumps([asdict(label) for label in labels])
        write_atomically(self._label_path(content_id), written)

    def labels(self, content_id: str) -> list[Label]:
        """The documents that had a content; one for all models under its id when nothing is known."""
        return self._written(content_id) or [Label(self.path(content_id).name, FOR_ALL)]

    def with_unknown(
        self, content_id: str, labels: Sequence[Label], gone: Sequence[Label] = ()
    ) -> list[Label]:
        """These, and where the folder is ahead of the database those that it does not know; none of what is `gone`."""
        known = {(one.name, one.collection) for one in (*labels, *gone)}
        written = self._written(content_id) if self.guarded.is_ahead else []
        return [*labels, *(one for one in written if (one.name, one.collection) not in known)]

    def forgotten(self) -> dict[str, list[Label]]:
        """Labels of documents that no row describes, of contents that have one; none unless the folder is ahead."""
        forgotten = self.guarded.contents.forgotten() if self.guarded.is_ahead else []
        return {
            content: [
                label
                for label in self._written(content)
                if Named(content, label.collection or FOR_ALL, label.name) in forgotten
            ]
            for content in sorted({one.content for one in forgotten})
        }

    def remove(self, content_id: str) -> None:
        """Take a content's file away; idempotent."""
        self.path(content_id).unlink(missing_ok=True)
        self._label_path(content_id).unlink(missing_ok=True)

    def exists(self, content_id: str) -> bool:
        """Whether a content's file is there."""
        return self.path(content_id).exists()

    def unplaced(self) -> list[str]:
        """Ids of files that belong to no document."""
        return [path.stem for path in self.guarded.contents.unplaced()]

    def set_aside(self, content_id: str) -> Path | None:
        """Move a file that belongs to no document to `lost/`; where it is now, None when it had to stay."""
        placed = self.guarded.set_aside(self.path(content_id))
        if placed and (label := self._label_path(content_id)).exists():
            self.guarded.set_aside(label)
        return placed

    def _written(self, content_id: str) -> list[Label]:
        found = read_json(self._label_path(content_id))
        return [label for one in found if (label := _label(one))] if isinstance(found, list) else []

    def _label_path(self, content_id: str) -> Path:
        return self._folder / f"{content_id}.json"


def _label(written: object) -> Label | None:
    match written:
        case {"name": str(name), "collection": str(collection), **more}:
            embedder, workspace = more.get("embedder"), more.get("workspace")
            return Label(
                name,
                collection,
                embedder if isinstance(embedder, str) else "",
                workspace if isinstance(workspace, str) else WORKSPACE,
            )
    return None
