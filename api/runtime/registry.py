"""The embedded runtime's models on disk: content-addressed GGUF files, and one manifest a model.

    blobs/sha256-<hex>.gguf     weights, shared by every model made of them
    manifests/<generated>.json  name, weights, persona; written whole, so a model is visible only when complete

Names never become paths. A crash leaves at most temporary files and unreferenced weights; opening removes them.
"""

import errno
import hashlib
import json
import logging
import os
import threading
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.errors import ApiError, BackEndFailed, ModelNotFound, NameTaken, OutOfSpace, Unusable
from api.runtime import Options, Persona
from api.runtime.gguf import Header, read_header

logger = logging.getLogger(__name__)
_STEP_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One model: its name, its weights and what makes it more than them. `base` is the name it was made from."""

    name: str
    blob: str
    persona: Persona
    base: str | None
    created_at: datetime
    manifest: str


class Incoming:
    """A GGUF file on its way in: `step` until it answers False, then `Registry.place`; `discard` in any case."""

    def __init__(self, source: Path, blobs: Path) -> None:
        self.done_bytes = 0
        self.digest = hashlib.sha256()
        self.temporary = blobs / f"{uuid.uuid4().hex}.tmp"
        self._source = source.open("rb")
        self.total_bytes = os.fstat(self._source.fileno()).st_size
        self._target = self.temporary.open("xb")

    def step(self) -> bool:
        """Copy the next part; False when the copy is whole and on disk."""
        with _storage_errors():
            part = self._source.read(_STEP_BYTES)
            self.digest.update(part)
            self._target.write(part)
            self.done_bytes += len(part)
            if part:
                return True
            self._target.flush()
            os.fsync(self._target.fileno())
        return False

    def discard(self) -> None:
        """Close both files and remove what was not placed."""
        self._source.close()
        try:
            self._target.close()  # a full disk can refuse the last buffer
        except OSError:
            logger.debug("the temporary file could not be flushed")
        self.temporary.unlink(missing_ok=True)


class Registry:
    """Thread-safe; one process owns the folder."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._manifests = folder / "manifests"
        self._lock = threading.RLock()
        self._pinned: Counter[str] = Counter()
        self._headers: dict[str, Header] = {}
        self._entries: dict[str, Entry] = {}
        self.unreadable: tuple[str, ...] = ()
        self._open()

    def entries(self) -> list[Entry]:
        """All models, sorted by name."""
        with self._lock:
            return [self._entries[key] for key in sorted(self._entries)]

    def get(self, name: str) -> Entry:
        """One model."""
        with self._lock:
            try:
                return self._entries[_key(name)]
            except KeyError:
                raise ModelNotFound(name, [entry.name for entry in self.entries()]) from None

    def path(self, entry: Entry) -> Path:
        """The file of a model's weights."""
        return self._blobs / entry.blob

    def header(self, entry: Entry) -> Header:
        """What the file of a model says about itself."""
        path = self.path(entry)
        if not path.is_file():
            raise BackEndFailed(
                f"The file of model {entry.name!r} is missing from the registry. Create it again."
            )
        if entry.blob not in self._headers:
            try:
                self._headers[entry.blob] = read_header(path)
            except Unusable as error:
                raise BackEndFailed(f"Model {entry.name!r}: {error.detail}") from error
        return self._headers[entry.blob]

    def refuse_taken(self, name: str) -> None:
        """`NameTaken` when a model has the name."""
        with self._lock:
            if _key(name) in self._entries:
                raise NameTaken(
                    f"A model named {self._entries[_key(name)].name!r} exists. "
                    "Choose another name, or replace it."
                )

    def receive(self, source: Path) -> Incoming:
        """Begin to copy a GGUF file in."""
        if not source.is_file():
            raise Unusable("There is no such GGUF file.")
        with _storage_errors():
            return Incoming(source, self._blobs)

    def place(self, incoming: Incoming) -> str:
        """Make a whole copy part of the registry and hold it there until `release`; its blob name."""
        blob = f"sha256-{incoming.digest.hexdigest()}.gguf"
        with self._lock, _storage_errors():
            self._pinned[blob] += 1
            if not (self._blobs / blob).exists():
                incoming.temporary.rename(self._blobs / blob)
                _sync_folder(self._blobs)
        return blob

    def hold(self, blob: str) -> str:
        """Keep weights although no model may refer to them any more, until `release`."""
        with self._lock:
            self._pinned[blob] += 1
        return blob

    def release(self, blob: str) -> None:
        """Let go of held weights; they are removed when no model refers to them."""
        with self._lock:
            self._pinned[blob] -= 1
            self._collect(blob)

    def record(
        self, name: str, blob: str, persona: Persona, base: str | None, *, replace: bool
    ) -> Entry:
        """Make a model visible, in one step; `NameTaken` unless it may replace."""
        with self._lock:
            if not replace:
                self.refuse_taken(name)
            old = self._entries.get(_key(name))
            manifest = old.manifest if old else f"{uuid.uuid4().hex}.json"
            entry = Entry(name, blob, persona, base, datetime.now(UTC), manifest)
            self._write(entry)
            self._entries[_key(name)] = entry
            if old:
                self._collect(old.blob)
            return entry

    def rename(self, name: str, new_name: str) -> None:
        """Give a model another name; `NameTaken` when another model has it."""
        with self._lock:
            old = self.get(name)
            if _key(name) != _key(new_name):
                self.refuse_taken(new_name)
            entry = replace(old, name=new_name)
            self._write(entry)
            del self._entries[_key(name)]
            self._entries[_key(new_name)] = entry

    def delete(self, name: str) -> Entry:
        """Remove a model, and its weights when no other is made of them."""
        with self._lock, _storage_errors():
            entry = self.get(name)
            (self._manifests / entry.manifest).unlink(missing_ok=True)
            _sync_folder(self._manifests)
            del self._entries[_key(name)]
            self._collect(entry.blob)
            return entry

    def _open(self) -> None:
        for folder in (self._blobs, self._manifests):
            folder.mkdir(parents=True, exist_ok=True)
            for left_over in folder.glob("*.tmp"):
                left_over.unlink()
        unreadable = []
        for path in sorted(self._manifests.glob("*.json")):
            try:
                entry = _parsed(path)
            except (OSError, ValueError, KeyError, TypeError):
                logger.error("the model manifest %s cannot be read", path.name)
                unreadable.append(path.name)
            else:
                self._entries[_key(entry.name)] = entry
        self.unreadable = tuple(unreadable)
        for path in self._blobs.glob("sha256-*.gguf"):
            self._collect(path.name)

    def _collect(self, blob: str) -> None:
        """Remove weights that nothing refers to; an unreadable manifest could, so then nothing is removed."""
        in_use = any(entry.blob == blob for entry in self._entries.values())
        if self._pinned[blob] <= 0:
            del self._pinned[blob]
            if not in_use and not self.unreadable:
                (self._blobs / blob).unlink(missing_ok=True)
                self._headers.pop(blob, None)

    def _write(self, entry: Entry) -> None:
        content = {
            "name": entry.name,
            "blob": entry.blob,
            "base": entry.base,
            "created_at": entry.created_at.isoformat(),
            "system": entry.persona.system,
            "template": entry.persona.template,
            "parameters": {
                key: value
                for key, value in asdict(entry.persona.parameters).items()
                if value is not None
            },
        }
        temporary = self._manifests / f"{uuid.uuid4().hex}.tmp"
        try:
            with _storage_errors():
                with temporary.open("x", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.rename(self._manifests / entry.manifest)
                _sync_folder(self._manifests)
        finally:
            temporary.unlink(missing_ok=True)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _parsed(path: Path) -> Entry:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = {field.name for field in fields(Options)}
    parameters = {k: v for k, v in content["parameters"].items() if k in known}
    for key in ("stop", "tools"):
        if key in parameters:
            parameters[key] = tuple(parameters[key])
    persona = Persona(str(content["system"]), content["template"], Options(**parameters))
    created_at = datetime.fromisoformat(content["created_at"])
    blob = str(content["blob"])
    if Path(blob).name != blob:
        raise ValueError("the weights are no plain file name")
    return Entry(str(content["name"]), blob, persona, content["base"], created_at, path.name)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _as_ours(error) from error


def _as_ours(error: OSError) -> ApiError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutOfSpace("The disk of the model registry is full. Free some space, then try again.")
    return BackEndFailed(f"The model registry cannot be written or read: {error.strerror}.")
