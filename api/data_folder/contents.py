"""What lies in each folder that the database describes, held against its rows.

Only what has a name that the service gives is looked at; links are never followed. What others keep there is
not seen, so that nothing happens to it.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from api.names import FOR_ALL, KINDS, model_key
from finetune.job.files import read_json

DOCUMENT = re.compile(rf"[a-z]+_[0-9a-f]{{16}}\.({'|'.join(KINDS)})")
LABEL = re.compile(r"[a-z]+_[0-9a-f]{16}\.json")
JOB = re.compile(r"job_[0-9a-f]{16}")
WEIGHTS = re.compile(r"sha256-[0-9a-f]{64}\.(gguf|onnx)")
MANIFEST = re.compile(r"[0-9a-f]{32}\.json")


class Named(NamedTuple):
    """A document, by the id of its content, the name of its collection and its own."""

    content: str
    collection: str
    name: str


class Contents(Protocol):
    """A folder against the rows that describe it."""

    def unplaced(self) -> list[Path]:
        """What the service made and no row describes."""

    def missing(self) -> list[str]:
        """What rows describe and is not there."""

    def forgotten(self) -> list[Named]:
        """Documents of a file that has a row which have none themselves."""


def files_made(folder: Path, name: re.Pattern[str]) -> Iterator[Path]:
    """Files of that kind of name, in order."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if name.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield path


def folders_made(folder: Path, name: re.Pattern[str]) -> Iterator[Path]:
    """Folders of that kind of name, in order."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as found:  # which tells folders without a look at each
        folders = [one.name for one in found if one.is_dir(follow_symlinks=False)]
    yield from (folder / one for one in sorted(folders) if name.fullmatch(one))


def remove_made(folder: Path, name: re.Pattern[str]) -> None:
    """Remove files and folders of that kind of name, and nothing else; for what can be made again."""
    for path in files_made(folder, name):
        path.unlink(missing_ok=True)
    for path in folders_made(folder, name):
        shutil.rmtree(path)


class DocumentFiles:
    """`documents/`: one file a content, and beside it which documents have it; `described` gives those of all rows.

    What has the id of a document (`documents`) is no stranger: once each document had a file of its own.
    """

    def __init__(
        self,
        folder: Path,
        described: Callable[[], Collection[Named]],
        documents: Callable[[], Collection[str]],
    ) -> None:
        self._folder = folder
        self._described = described
        self._documents = documents

    def unplaced(self) -> list[Path]:
        """Files of no content."""
        known = {*self._contents(), *self._documents()}
        return [path for path in files_made(self._folder, DOCUMENT) if path.stem not in known]

    def missing(self) -> list[str]:
        """Contents without their file."""
        return sorted(self._contents() - self._placed())

    def forgotten(self) -> list[Named]:
        """What the labels beside the files of contents name and no row describes."""
        described = set(self._described())
        return [
            named
            for content in sorted(self._contents() & self._placed())
            for named in _labelled(self._folder / f"{content}.json")
            if named not in described
        ]

    def _contents(self) -> set[str]:
        return {one.content for one in self._described()}

    def _placed(self) -> set[str]:
        return {path.stem for path in files_made(self._folder, DOCUMENT)}


def _labelled(path: Path) -> Iterator[Named]:
    found = read_json(path)
    for one in found if isinstance(found, list) else ():
        match one:
            case {"name": str(name), "collection": str(collection)}:
                yield Named(path.stem, collection or FOR_ALL, name)


class JobFolders:
    """`jobs/`: one folder a job; `ids` gives those of all jobs."""

    def __init__(self, folder: Path, ids: Callable[[], Collection[str]]) -> None:
        self._folder = folder
        self._ids = ids

    def unplaced(self) -> list[Path]:
        """Folders of no job."""
        known = self._ids()
        return [path for path in folders_made(self._folder, JOB) if path.name not in known]

    def missing(self) -> list[str]:
        """Jobs without their folder."""
        return [one for one in self._ids() if not (self._folder / one).exists()]

    def forgotten(self) -> list[Named]:
        """None: each has a row of its own."""
        return []


class ModelFiles:
    """`models/` of the embedded runtime. A base model needs no record, a persona and a fine-tune have one.

    `keys` gives those of all records, as `names.model_key` writes them.
    """

    def __init__(self, folder: Path, keys: Callable[[], Collection[str]]) -> None:
        self._folder = folder
        self._keys = keys

    def unplaced(self) -> list[Path]:
        """Manifests of personas and fine-tunes without a record, and weights of no model."""
        known, manifests = self._keys(), self._manifests()
        read = [(path, one) for path, one in manifests if one]
        made = [path for path, one in read if is_made(one) and _key(one) not in known]
        if len(read) < len(manifests):  # one that cannot be read could refer to anything
            return made
        used = {one.get(kind) for _, one in read for kind in ("blob", "projector")}
        weights = files_made(self._folder / "blobs", WEIGHTS)
        return [*made, *(path for path in weights if path.name not in used)]

    def missing(self) -> list[str]:
        """Records without their model."""
        existing = {_key(one) for _, one in self._manifests()}
        return [key for key in self._keys() if key not in existing]

    def forgotten(self) -> list[Named]:
        """None: each has a row of its own."""
        return []

    def _manifests(self) -> list[tuple[Path, dict[str, object]]]:
        """Each with what it says, which is nothing when it cannot be read."""
        files = files_made(self._folder / "manifests", MANIFEST)
        read = [(path, read_json(path)) for path in files]
        return [(path, one if isinstance(one, dict) else {}) for path, one in read]


def is_made(manifest: Mapping[str, object]) -> bool:
    """Whether a model is a persona or a fine-tune."""
    return bool(manifest.get("base") or manifest.get("trained_from"))


def _key(manifest: Mapping[str, object]) -> str:
    return model_key(str(manifest.get("name")))
