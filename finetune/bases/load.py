"""Base models from outside: a model of the hub, a folder or a GGUF file comes to lie below `DATA_DIR/base_models`.

    NAME/        a Hugging Face folder, for fine-tuning; `source.json` says where it is from
    NAME.gguf    what chats; the service takes it into its runtime and removes it here
    .NAME...     on the way to one of them; a load that was cut goes on from there

Both appear whole or not at all, by a rename.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.bases import folder as model_folder
from finetune.bases.gguf import make_gguf, room_needed
from finetune.job.locks import read_json, sync_file, sync_files, sync_folder, take, write_atomically
from finetune.job.spec import Quantization
from finetune.job.stage import StageFailed
from finetune.training.preflight import gib

if TYPE_CHECKING:
    from finetune.bases.hub import Hub, RemoteFile, Repository

DEFAULT_MODEL = "mistralai/Mistral-7B-v0.1"
SOURCE = "source.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,69}")  # as the service takes them
_RESERVED = "--checking"

Say = Callable[[str], None]
Free = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to load: a `model` of the hub (ORGANISATION/MODEL or ORGANISATION/MODEL:FILE.gguf), a `folder`, or a
    `gguf` file. `quantization` None makes no GGUF.
    """

    data_dir: Path
    model: str = DEFAULT_MODEL
    folder: Path | None = None
    gguf: Path | None = None
    name: str | None = None
    revision: str | None = None
    quantization: Quantization | None = "Q4_K_M"


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


def load(wanted: Wanted, say: Say, free: Free = free_bytes) -> None:
    """Bring the model, as far as it is not there already. Raises `StageFailed`."""
    name = _valid_name(wanted)
    _refuse_parts(str(wanted.gguf or wanted.model))
    base_models = wanted.data_dir / "base_models"
    base_models.mkdir(parents=True, exist_ok=True)
    with _alone(base_models):
        _Load(wanted, base_models, name, say, free).run()


class _Load:
    """One load, while the folder of base models is ours alone."""

    def __init__(self, wanted: Wanted, base_models: Path, name: str, say: Say, free: Free) -> None:
        self._wanted = wanted
        self._base_models = base_models
        self._name = name
        self._say = say
        self._free = free
        self._target = base_models / name
        self._loading = base_models / f".{name}.loading"

    def run(self) -> None:
        self._refuse_other_spelling()
        model, _, file = self._wanted.model.partition(":")
        if self._wanted.gguf is not None:
            self._place_gguf(self._wanted.gguf)
        elif self._wanted.folder is not None:
            self._bring_folder(self._wanted.folder.resolve())
            self._make_gguf()
        elif file:
            self._download_gguf(model, file)
        else:
            self._download(model)
            self._make_gguf()

    def _refuse_other_spelling(self) -> None:
        for path in self._base_models.iterdir():
            known = path.name.removesuffix(".gguf")
            if known != self._name and known.lower() == self._name.lower():
                raise _taken(f"{known} is there, and names are compared without case.")

    # From the hub

    def _download(self, model: str) -> None:
        if self._target.exists():
            self._require_same(model)
            return
        hub, repository = self._listed(model)
        names = model_folder.files_of(repository.files, model)
        files = [repository.files[name] for name in names]
        weights = sum(file.size for file in files if file.name.endswith(".safetensors"))
        self._fetch(hub, repository, files, room_needed(weights, self._wanted.quantization))
        self._settle()

    def _require_same(self, model: str) -> None:
        source = read_json(self._target / SOURCE) or {}
        revision = self._wanted.revision
        known = (None, source.get("revision"), source.get("commit"))
        if source.get("model") != model or revision not in known:
            raise _taken(f"{self._target} holds another model or revision.")
        self._say(f"{self._target} is there already (commit {source['commit']}).")

    def _download_gguf(self, model: str, name: str) -> None:
        hub, repository = self._listed(model)
        ggufs = model_folder.ggufs_of(repository.files)
        if name not in ggufs:
            known = ", ".join(ggufs) or "none"
            raise StageFailed("No such file", f"{model} holds no {name!r}. GGUF files: {known}.")
        file = repository.files[name]
        self._fetch(hub, repository, [file], file.size)
        _require_gguf(self._loading / name)
        self._publish(self._loading / name)
        shutil.rmtree(self._loading)

    def _listed(self, model: str) -> "tuple[Hub, Repository]":
        # Read when the library is imported; a container hands an unset address on as an empty one.
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        if not os.environ.get("HF_ENDPOINT"):
            os.environ.pop("HF_ENDPOINT", None)
        try:
            from finetune.bases.hub import Hub
        except ModuleNotFoundError as error:
            raise StageFailed(
                "Package missing", f'{error}: run `pip install "llm-fastapi[finetune]"`.'
            ) from error
        hub = Hub(self._say)
        return hub, hub.repository(model, self._wanted.revision)

    def _fetch(
        self, hub: "Hub", repository: "Repository", files: "list[RemoteFile]", afterwards: int
    ) -> None:
        """Bring files, when the disk holds them and what takes room afterwards."""
        revision = self._wanted.revision or "main"
        source = {"model": repository.id, "revision": revision, "commit": repository.commit}
        if read_json(self._loading / SOURCE) != source:  # files of two commits do not mix
            self._begin(source)
        size = sum(file.size for file in files)
        missing = sum(hub.missing_bytes(file, self._loading) for file in files)
        self._require_room(missing + afterwards)
        self._say(f"{repository.id} at {repository.commit}: {gib(missing)} of {gib(size)} to load")
        for file in files:
            hub.fetch(repository, file, self._loading)

    # From a folder, from a file

    def _bring_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StageFailed("No such folder", f"{folder} is not there.")
        names = model_folder.files_of((path.name for path in folder.iterdir()), str(folder))
        model_folder.check(folder)
        if folder == self._target.resolve():
            self._add_chat_template(folder)
            return
        if self._target.exists():
            raise _taken(f"{self._target} is there.")
        to_copy = sum(self._bytes_to_copy(folder / name) for name in names)
        weights = model_folder.weights_bytes(folder)
        self._require_room(to_copy + room_needed(weights, self._wanted.quantization))
        self._begin({"folder": folder.name})
        for name in names:
            _link_or_copy(folder / name, self._loading / name)
        self._settle()

    def _place_gguf(self, source: Path) -> None:
        if not source.is_file():
            raise StageFailed("No such file", f"{source} is not there.")
        _require_gguf(source)
        size = source.stat().st_size  # the service makes a copy before it removes the file
        self._require_room(self._bytes_to_copy(source) + size)
        temporary = self._base_models / f".{self._name}.gguf.tmp"
        temporary.unlink(missing_ok=True)
        _link_or_copy(source, temporary)
        self._publish(temporary)

    # On

    def _begin(self, source: dict[str, str]) -> None:
        _emptied(self._loading)
        write_atomically(self._loading / SOURCE, json.dumps(source, indent=1))

    def _settle(self) -> None:
        """A whole folder gets its name."""
        model_folder.check(self._loading)
        self._add_chat_template(self._loading)
        sync_files(self._loading)
        self._loading.rename(self._target)
        sync_folder(self._base_models)
        self._say(f"{self._target} can be fine-tuned: baseModel={self._name}")

    def _add_chat_template(self, folder: Path) -> None:
        if model_folder.add_chat_template(folder):
            self._say("The model has no chat template; it got a plain one (chat_template.jinja)")

    def _make_gguf(self) -> None:
        quantization = self._wanted.quantization
        if quantization is None:
            return
        weights = model_folder.weights_bytes(self._target)
        self._require_room(room_needed(weights, quantization))
        self._say(f"Converting to GGUF ({quantization}) ...")
        work = self._base_models / f".{self._name}.converting"
        _emptied(work)
        try:
            make_gguf(self._target, work / "model.gguf", quantization, self._name)
            self._publish(work / "model.gguf")
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _publish(self, gguf: Path) -> None:
        sync_file(gguf)
        placed = gguf.replace(self._base_models / f"{self._name}.gguf")
        sync_folder(self._base_models)
        self._say(
            f"{placed} is ready. The service takes it in when it starts, or when it is asked for: "
            f"createModel with baseModel={self._name}"
        )

    def _bytes_to_copy(self, file: Path) -> int:
        """Its size, or nothing where a link does; a bind mount of the same disk, say, refuses one."""
        probe = self._base_models / ".probe"
        probe.unlink(missing_ok=True)
        if not _linked(file, probe):
            return file.stat().st_size
        probe.unlink()
        return 0

    def _require_room(self, needed: int) -> None:
        free = self._free(self._base_models)
        if needed > free:
            raise StageFailed(
                "Not enough disk",
                f"{self._name} needs {gib(needed)} below {self._base_models}, {gib(free)} are free. "
                "Free some space or choose another --data-dir; what is there is kept.",
            )


def _valid_name(wanted: Wanted) -> str:
    own = wanted.gguf or (wanted.folder and wanted.folder.resolve()) or wanted.model
    name = wanted.name or Path(str(own).rpartition(":")[2]).name.removesuffix(".gguf")
    if not _NAME.fullmatch(name) or name.endswith(_RESERVED):
        raise StageFailed(
            "Invalid name",
            f"{name!r} cannot name a model: it has 1 to 70 letters, digits, dots, dashes and underscores and "
            "begins with a letter or digit. Choose a --name.",
        )
    return name


def _refuse_parts(source: str) -> None:
    if model_folder.is_gguf_part(source):
        raise StageFailed(
            "Part of a model",
            f"{source} is one of several parts, and a base model is one file. Choose a GGUF file that is whole, or "
            "join the parts (llama-gguf-split --merge FIRST-PART OUT.gguf) and load OUT.gguf with --gguf.",
        )


def _require_gguf(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise StageFailed("Not a GGUF file", f"{path} does not begin with GGUF.")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = take(folder)
    if lock is None:
        raise StageFailed("Busy", f"Another load works in {folder}. Wait for it.")
    try:
        yield
    finally:
        os.close(lock)


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _link_or_copy(source: Path, target: Path) -> None:
    if not _linked(source, target):
        shutil.copyfile(source, target)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)  # the hub's own cache holds symbolic links
    except OSError:
        return False
    return True


def _taken(what: str) -> StageFailed:
    return StageFailed("Name taken", f"{what} Choose another --name, or remove it first.")
