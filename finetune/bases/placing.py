"""Puts what was loaded in its place below `DATA_DIR/base_models`.

    NAME/        a Hugging Face folder, for fine-tuning; `source.json` says where it is from
    NAME.gguf    what chats; the service takes it into its runtime and removes it here
    NAME.mmproj  what that sees with, a GGUF file too: there before it, and taken in with it
    .NAME...     on the way to one of them; a load that was cut goes on from there

Both appear whole or not at all, by a rename.
"""

import contextlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from finetune.bases import folder as model_folder
from finetune.bases import refusals
from finetune.bases.gguf import make_gguf, room_needed
from finetune.bases.trying import require_tried
from finetune.job.files import link_or_copy, sync_file, sync_files, sync_folder, write_atomically
from finetune.job.locks import take
from finetune.job.parameters.exporting import Quantization
from finetune.job.stage import StageFailed
from finetune.preflight.room import gib

SOURCE = "source.json"

Say = Callable[[str], None]
Free = Callable[[Path], int]


class Placing:
    """One model's place: `target` is its folder, `loading` what becomes of it first."""

    def __init__(
        self, base_models: Path, name: str, say: Say, free: Free, trial: bool = True
    ) -> None:
        self._base_models = base_models
        self._name = name
        self._say = say
        self._free = free
        self._trial = trial
        self.target = base_models / name
        self.loading = base_models / f".{name}.loading"
        self.loading_projector = base_models / f".{name}.loading-mmproj"
        self.projector: Path | None = None

    def refuse_other_spelling(self) -> None:
        """Names are compared without case. Raises `StageFailed`."""
        for path in self._base_models.iterdir():
            known = path.name.removesuffix(".gguf")
            if known != self._name and known.lower() == self._name.lower():
                raise name_taken(f"{known} is there, and names are compared without case.")

    def begin(self, source: dict[str, str], folder: Path | None = None) -> None:
        """An empty folder to load into, `loading` or another, that knows where from."""
        folder = folder or self.loading
        _emptied(folder)
        write_atomically(folder / SOURCE, json.dumps(source, indent=1))

    def settle(self) -> None:
        """A whole folder gets its name."""
        model_folder.check(self.loading)
        self.add_chat_template(self.loading)
        self.try_base(self.loading)
        sync_files(self.loading)
        self.loading.rename(self.target)
        sync_folder(self._base_models)
        self._say(f"{self.target} can be fine-tuned: baseModel={self._name}")

    def refuse(self) -> None:
        """What is loading cannot be fine-tuned: none of it stays. Raises `StageFailed` when its small files say so."""
        try:
            refusals.refuse(self.loading, self._name)
        except StageFailed:
            shutil.rmtree(self.loading, ignore_errors=True)
            raise

    def try_base(self, folder: Path) -> None:
        """Convert, compare and train the first layers, once. Raises `StageFailed`; then nothing of a load stays.

        Where it is not wanted, or the `finetune` extra is missing, the first job of the base does it.
        """
        refusals.refuse(folder, self._name)
        if not self._trial or importlib.util.find_spec("torch") is None:
            return
        self._say("Trying the model: its first layers are converted, compared and trained ...")
        try:
            if require_tried(folder, self._name, self._base_models):
                self._say("It reads, ends and answers alike as a GGUF, and it learns")
        except StageFailed as error:
            if error.title == refusals.TITLE and folder == self.loading:
                shutil.rmtree(self.loading, ignore_errors=True)
            raise

    def add_chat_template(self, folder: Path) -> None:
        """Give a model that was never taught to chat a plain one."""
        if model_folder.add_chat_template(folder):
            self._say("The model has no chat template; it got a plain one (chat_template.jinja)")

    def make_gguf(self, quantization: Quantization | None) -> None:
        """The model that chats, of the folder; none is wanted with None."""
        if quantization is None:
            return
        weights = model_folder.weights_bytes(self.target)
        self.require_room(room_needed(weights, quantization))
        self._say(f"Converting to GGUF ({quantization}) ...")
        work = self._base_models / f".{self._name}.converting"
        _emptied(work)
        try:
            make_gguf(self.target, work / "model.gguf", quantization, self._name)
            self.publish(work / "model.gguf")
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def publish_copy(self, source: Path) -> None:
        """Put a GGUF file from elsewhere in place."""
        temporary = self._base_models / f".{self._name}.gguf.tmp"
        temporary.unlink(missing_ok=True)
        link_or_copy(source, temporary)
        self.publish(temporary)

    def publish(self, gguf: Path) -> None:
        """Put a GGUF file of this disk in place, after its projector where it has one."""
        self._publish_projector()
        sync_file(gguf)
        placed = gguf.replace(self._base_models / f"{self._name}.gguf")
        sync_folder(self._base_models)
        self._say(
            f"{placed} is ready. The service takes it in when it starts, or when it is asked for: "
            f"createModel with baseModel={self._name}"
        )

    def _publish_projector(self) -> None:
        """One of an earlier load that was not taken in would make another model see."""
        placed = self._base_models / f"{self._name}.mmproj"
        if self.projector is None:
            placed.unlink(missing_ok=True)
            return
        temporary = self._base_models / f".{self._name}.mmproj.tmp"
        temporary.unlink(missing_ok=True)
        link_or_copy(self.projector, temporary)
        sync_file(temporary)
        temporary.replace(placed)
        shutil.rmtree(self.loading_projector, ignore_errors=True)

    def bytes_to_copy(self, file: Path) -> int:
        """Its size, or nothing where a link does; a bind mount of the same disk, say, refuses one."""
        probe = self._base_models / ".probe"
        probe.unlink(missing_ok=True)
        if not _linked(file, probe):
            return file.stat().st_size
        probe.unlink()
        return 0

    def require_room(self, needed: int) -> None:
        """Raises `StageFailed` when the disk has not so many bytes."""
        free = self._free(self._base_models)
        if needed > free:
            raise StageFailed(
                "Not enough disk",
                f"{self._name} needs {gib(needed)} below {self._base_models}, {gib(free)} are free. "
                "Free some space or choose another --data-dir; what is there is kept.",
            )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Work in a folder as the only one. Raises `StageFailed`."""
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


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)  # the hub's own cache holds symbolic links
    except OSError:
        return False
    return True


def name_taken(what: str) -> StageFailed:
    """The error of a name that another model has."""
    return StageFailed("Name taken", f"{what} Choose another --name, or remove it first.")
