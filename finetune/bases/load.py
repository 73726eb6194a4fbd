"""Base models from outside: a model of the hub, a folder or a GGUF file comes to lie below `DATA_DIR/base_models`."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.bases import folder as model_folder
from finetune.bases import refusals
from finetune.bases.gguf import room_needed
from finetune.bases.placing import SOURCE, Free, Placing, Say, alone, name_taken
from finetune.job.files import link_or_copy, read_json
from finetune.job.parameters.exporting import Quantization
from finetune.job.stage import StageFailed
from finetune.preflight.room import gib

if TYPE_CHECKING:
    from finetune.bases.hub import Hub, RemoteFile, Repository

DEFAULT_MODEL = "mistralai/Mistral-7B-v0.1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,69}")  # as the service takes them
_RESERVED = "--checking"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to load: a `model` of the hub (ORGANISATION/MODEL or ORGANISATION/MODEL:FILE.gguf), a `folder`, or a
    `gguf` file. `quantization` None makes no GGUF; without `trial` the first job tries it. With a projector (`mmproj`)
    the model sees: a GGUF file of the model's repository, of another (ORGANISATION/MODEL:FILE.gguf) or, beside a
    `folder` or `gguf`, one here.
    """

    data_dir: Path
    model: str = DEFAULT_MODEL
    folder: Path | None = None
    gguf: Path | None = None
    name: str | None = None
    revision: str | None = None
    quantization: Quantization | None = "Q4_K_M"
    trial: bool = True
    mmproj: str | None = None


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


def load(wanted: Wanted, say: Say, free: Free = free_bytes) -> None:
    """Bring the model, as far as it is not there already. Raises `StageFailed`."""
    name = _valid_name(wanted)
    _refuse_parts(str(wanted.gguf or wanted.model))
    base_models = wanted.data_dir / "base_models"
    base_models.mkdir(parents=True, exist_ok=True)
    with alone(base_models):
        _Load(wanted, Placing(base_models, name, say, free, wanted.trial), say).run()


class _Load:
    """One load, while the folder of base models is ours alone."""

    def __init__(self, wanted: Wanted, placing: Placing, say: Say) -> None:
        self._wanted = wanted
        self._placing = placing
        self._say = say

    def run(self) -> None:
        self._placing.refuse_other_spelling()
        if self._wanted.mmproj:
            self._placing.projector = self._bring_projector(self._wanted.mmproj)
        model, _, file = self._wanted.model.partition(":")
        if self._wanted.gguf is not None:
            self._place_gguf(self._wanted.gguf)
        elif self._wanted.folder is not None:
            self._bring_folder(self._wanted.folder.resolve())
            self._placing.make_gguf(self._wanted.quantization)
        elif file:
            self._download_gguf(model, file)
        else:
            self._download(model)
            self._placing.make_gguf(self._wanted.quantization)

    # From the hub

    def _download(self, model: str) -> None:
        if self._placing.target.exists():
            self._require_same(model)
            return
        hub, repository = self._listed(model)
        names = model_folder.files_of(repository.files, model)
        files = [repository.files[name] for name in names]
        weights = sum(file.size for file in files if file.name.endswith(".safetensors"))
        room = room_needed(weights, self._wanted.quantization)
        self._fetch(hub, repository, files, room, self._placing.loading)
        self._placing.settle()

    def _require_same(self, model: str) -> None:
        source = read_json(self._placing.target / SOURCE) or {}
        revision = self._wanted.revision
        known = (None, source.get("revision"), source.get("commit"))
        if source.get("model") != model or revision not in known:
            raise name_taken(f"{self._placing.target} holds another model or revision.")
        self._say(f"{self._placing.target} is there already (commit {source['commit']}).")

    def _download_gguf(self, model: str, name: str) -> None:
        self._placing.publish(self._fetch_gguf(model, name, self._placing.loading))
        shutil.rmtree(self._placing.loading)

    def _bring_projector(self, wanted: str) -> Path:
        repository, _, name = wanted.rpartition(":")
        if not repository and (self._wanted.gguf or self._wanted.folder):
            here = Path(wanted)
            if not here.is_file():
                raise StageFailed("No such file", f"{here} is not there.")
            _require_gguf(here)
            self._placing.require_room(self._placing.bytes_to_copy(here) + here.stat().st_size)
            return here
        repository = repository or self._wanted.model.partition(":")[0]
        return self._fetch_gguf(repository, name, self._placing.loading_projector)

    def _fetch_gguf(self, model: str, name: str, folder: Path) -> Path:
        """One GGUF file of a repository, in a folder of ours."""
        hub, repository = self._listed(model)
        ggufs = model_folder.ggufs_of(repository.files)
        if name not in ggufs:
            known = ", ".join(ggufs) or "none"
            raise StageFailed("No such file", f"{model} holds no {name!r}. GGUF files: {known}.")
        file = repository.files[name]
        self._fetch(hub, repository, [file], file.size, folder)
        try:
            _require_gguf(folder / name)
        except StageFailed:
            shutil.rmtree(folder)
            raise
        return folder / name

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
        is_another = model != self._wanted.model.partition(":")[0]
        return hub, hub.repository(model, None if is_another else self._wanted.revision)

    def _fetch(
        self,
        hub: "Hub",
        repository: "Repository",
        files: "list[RemoteFile]",
        afterwards: int,
        folder: Path,
    ) -> None:
        """Bring files into a folder, when the disk holds them and what takes room afterwards."""
        revision = self._wanted.revision or "main"
        source = {"model": repository.id, "revision": revision, "commit": repository.commit}
        if read_json(folder / SOURCE) != source:  # files of two commits do not mix
            self._placing.begin(source, folder)
        size = sum(file.size for file in files)
        missing = sum(hub.missing_bytes(file, folder) for file in files)
        self._placing.require_room(missing + afterwards)
        self._say(f"{repository.id} at {repository.commit}: {gib(missing)} of {gib(size)} to load")
        for file in files:
            if file.name.endswith(".safetensors"):  # the small ones are first
                self._placing.refuse()
            hub.fetch(repository, file, folder)

    # From a folder, from a file

    def _bring_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StageFailed("No such folder", f"{folder} is not there.")
        names = model_folder.files_of((path.name for path in folder.iterdir()), str(folder))
        model_folder.check(folder)
        if folder == self._placing.target.resolve():
            self._placing.add_chat_template(folder)
            self._placing.try_base(folder)
            return
        if self._placing.target.exists():
            raise name_taken(f"{self._placing.target} is there.")
        to_copy = sum(self._placing.bytes_to_copy(folder / name) for name in names)
        weights = model_folder.weights_bytes(folder)
        refusals.refuse(folder, folder.name)
        self._placing.require_room(to_copy + room_needed(weights, self._wanted.quantization))
        self._placing.begin({"folder": folder.name})
        for name in names:
            link_or_copy(folder / name, self._placing.loading / name)
        self._placing.settle()

    def _place_gguf(self, source: Path) -> None:
        if not source.is_file():
            raise StageFailed("No such file", f"{source} is not there.")
        _require_gguf(source)
        size = source.stat().st_size  # the service makes a copy before it removes the file
        self._placing.require_room(self._placing.bytes_to_copy(source) + size)
        self._placing.publish_copy(source)


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
