"""The embedded runtime's models on disk: content-addressed files of weights, and one manifest a model.

    blobs/sha256-<hex>.gguf     weights, shared by every model made of them; of an encoder as an `.onnx` file; and
                                projectors, beside whose weights a model sees
    manifests/<generated>.json  name, weights, persona; written whole, so a model is visible only when complete

Names never become paths. A crash leaves at most temporary files, which opening removes, and weights of no model,
which it puts aside. What has another kind of name is somebody else's, and is not looked at.
"""

import json
import logging
import re
import threading
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path

from api.data_folder.contents import MANIFEST, WEIGHTS, files_made
from api.errors import BackEndFailed, ModelNotFound, NameTaken, Unusable
from api.runtime import ModelInfo, Persona, TrainedFrom, gguf
from api.runtime.gguf import Header
from api.runtime.llama_cpp.incoming import Incoming, storage_errors
from api.runtime.llama_cpp.manifest import Entry, parsed, written
from api.runtime.onnx import header as onnx
from api.runtime.tools import shows_tools
from finetune.job.files import sync_folder, write_atomically

logger = logging.getLogger(__name__)

_TEMPORARY = re.compile(r"[0-9a-f]{32}\.tmp|\.[0-9a-f]{32}\.json\.[\d-]+\.tmp")


class Registry:
    """Thread-safe; one process owns the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        adding: Callable[[], AbstractContextManager[None]] = nullcontext,
        set_aside: Callable[[Path], object] | None = None,
    ) -> None:
        """`adding` stands around what adds a model. `set_aside` takes weights of no model; without it nothing that
        lies there is swept.
        """
        self._adding = adding
        self._set_aside = set_aside
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

    def path(self, blob: str) -> Path:
        """The file of some weights."""
        return self._blobs / blob

    def header(self, blob: str) -> Header:
        """What a file of weights says about itself; `BackEndFailed` when it is missing or damaged."""
        path = self.path(blob)
        if not path.is_file():
            raise BackEndFailed(
                "The model's file is missing from the registry. Create the model again."
            )
        if blob not in self._headers:
            try:
                self._headers[blob] = _read_header(path)
            except Unusable as error:
                raise BackEndFailed(error.detail) from error
        return self._headers[blob]

    def info(self, entry: Entry) -> ModelInfo:
        """All that is known of a model; nothing but its manifest when its file is missing or damaged."""
        known = ModelInfo(
            name=entry.name,
            size_bytes=0,
            context_length=0,
            capabilities=frozenset({"embed"} if entry.embeds else {"chat", "json_schema"}),
            template=entry.persona.template or "",
            persona=entry.persona,
            modified_at=entry.created_at,
            digest=entry.blob.removeprefix("sha256-").partition(".")[0],
        )
        try:
            header = self.header(entry.blob)
        except BackEndFailed:
            return known
        template = entry.persona.template or header.template
        return changed(
            known,
            size_bytes=header.size_bytes,
            capabilities=_capabilities(header, template, sees=bool(entry.projector)),
            context_length=header.context_length,
            template=template,
            quantization=header.quantization,
            parameter_count=header.parameter_count,
            architecture=header.architecture,
            title=header.title,
            vocabulary=header.vocabulary,
            stops_at_tokens=header.makes == "text",
        )

    def refuse_taken(self, name: str) -> None:
        """`NameTaken` when a model has the name."""
        with self._lock:
            if _key(name) in self._entries:
                raise NameTaken(
                    f"A model named {self._entries[_key(name)].name!r} exists. "
                    "Choose another name, or replace it."
                )

    def receive(self, source: Path) -> Incoming:
        """Begin to copy a file in whose header is sound."""
        with storage_errors():
            return Incoming(source, self._blobs)

    def place(self, incoming: Incoming) -> str:
        """Make a whole copy part of the registry and hold it there until `release`; its blob name. It takes the place
        of a file of that name, which may have been damaged since.
        """
        blob = incoming.blob
        with self._lock, storage_errors():
            self._pinned[blob] += 1
            incoming.temporary.rename(self._blobs / blob)
            sync_folder(self._blobs)
        return blob

    def hold(self, blob: str) -> str:
        """Keep weights although no model may refer to them any more, until `release`."""
        with self._lock:
            self._pinned[blob] += 1
        return blob

    def release(self, blob: str) -> bool:
        """Let go of held weights; whether they stay, because a model refers to them."""
        with self._lock:
            self._pinned[blob] -= 1
            self._collect(blob)
            return self.path(blob).exists()

    def record(
        self,
        name: str,
        blob: str,
        persona: Persona,
        base: str | None,
        *,
        may_replace: bool,
        trained_from: TrainedFrom | None = None,
        projector: str = "",
    ) -> Entry:
        """Make a model visible, in one step; `NameTaken` unless it may replace.

        A fine-tune that is made anew over itself stays one.
        """
        with self._lock:
            if not may_replace:
                self.refuse_taken(name)
            old = self._entries.get(_key(name))
            manifest = old.manifest if old else f"{uuid.uuid4().hex}.json"
            embeds = self.header(blob).embeds
            if old and base is not None and _key(base) == _key(name):
                trained_from = old.trained_from
            now = datetime.now(UTC)
            entry = Entry(name, blob, persona, base, embeds, now, manifest, trained_from, projector)
            with self._adding():
                self._write(entry)
            self._entries[_key(name)] = entry
            for file in old.files if old else ():
                self._collect(file)
            return entry

    def rename(self, name: str, new_name: str) -> None:
        """Give a model another name; `NameTaken` when another model has it."""
        with self._lock:
            old = self.get(name)
            if _key(name) != _key(new_name):
                self.refuse_taken(new_name)
            entry = changed(old, name=new_name)
            self._write(entry)
            del self._entries[_key(name)]
            self._entries[_key(new_name)] = entry

    def delete(self, name: str) -> Entry:
        """Remove a model, and its weights when no other is made of them."""
        with self._lock, storage_errors():
            entry = self.get(name)
            (self._manifests / entry.manifest).unlink(missing_ok=True)
            sync_folder(self._manifests)
            del self._entries[_key(name)]
            for file in entry.files:
                self._collect(file)
            return entry

    def _open(self) -> None:
        for folder in (self._blobs, self._manifests):
            folder.mkdir(parents=True, exist_ok=True)
        unreadable = []
        for path in files_made(self._manifests, MANIFEST):
            try:
                entry = parsed(path)
            except (OSError, ValueError, KeyError, TypeError):
                logger.error("the model manifest %s cannot be read", path.name)
                unreadable.append(path.name)
            else:
                self._entries[_key(entry.name)] = entry
        self.unreadable = tuple(unreadable)
        if self._set_aside is not None:
            self._sweep(self._set_aside)

    def _sweep(self, set_aside: Callable[[Path], object]) -> None:
        for folder in (self._blobs, self._manifests):
            for left_over in files_made(folder, _TEMPORARY):
                left_over.unlink()
        if not self.unreadable:  # one of them could refer to anything
            used = {file for entry in self._entries.values() for file in entry.files}
            for path in files_made(self._blobs, WEIGHTS):
                if path.name not in used:
                    logger.warning("the weights %s are of no model: %s", path.name, set_aside(path))

    def _collect(self, blob: str) -> None:
        """Remove weights that nothing refers to; an unreadable manifest could, so then nothing is removed."""
        in_use = any(blob in entry.files for entry in self._entries.values())
        if self._pinned[blob] <= 0:
            del self._pinned[blob]
            if not in_use and not self.unreadable:
                (self._blobs / blob).unlink(missing_ok=True)
                self._headers.pop(blob, None)

    def _write(self, entry: Entry) -> None:
        with storage_errors():
            write_atomically(self._manifests / entry.manifest, json.dumps(written(entry), indent=1))


def _capabilities(header: Header, template: str, *, sees: bool) -> frozenset[str]:
    if header.makes != "text":
        return frozenset({"rerank" if header.reranks else "embed"})
    may = {"tools": shows_tools(template), "images": sees}
    return frozenset({"chat", "json_schema", *(name for name, can in may.items() if can)})


def check_file(path: Path) -> None:
    """`Unusable` when a model's file is missing or its header is not sound."""
    if not path.is_file():
        raise Unusable("There is no such model file.")
    with storage_errors():
        _read_header(path)


def _read_header(path: Path) -> Header:
    return onnx.read_header(path) if path.suffix == onnx.SUFFIX else gguf.read_header(path)


def _key(name: str) -> str:
    """Folded as `names.model_key` folds, so that a name that whoever keeps records tells apart is not found here."""
    return unicodedata.normalize("NFC", name).lower()
