"""Personas over base models: create, list, show, delete."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

import anyio.to_thread

from api.errors import (
    InvalidOption,
    ModelDamaged,
    ModelInUse,
    ModelNotFound,
    NameTaken,
    NotFound,
)
from api.models.bases import BaseModels
from api.models.bundled import BundledModels
from api.models.lineage import Lineage, learned_from, recorded
from api.models.naming import require_free, require_unpromised, takes_its_name
from api.models.sharing import bind, bound_collections, share_model
from api.models.waiting import WaitingBases
from api.names import CHECKING, model_key, valid_model_name
from api.runtime import ExistingModel, ModelInfo, ModelRuntime, Persona
from api.store import Store
from api.store.jobs import Job, JobStatus
from api.store.models import ModelKind, ModelRecord


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can chat: what the runtime knows and what we know."""

    info: ModelInfo
    kind: ModelKind | Literal["base"]
    base: str
    job_id: str
    trainable: bool
    warning: str = ""
    """What was found wrong with it before it was published all the same."""
    lineage: Lineage | None = None
    """What it learned from, of a fine-tune."""
    collection: str = ""
    """The id of the collection from which it answers clients that know only its name."""
    shared: bool = False
    """Whether every workspace may use it; base models are so without saying it."""


class ModelCatalog:
    """The runtime's models with their records."""

    def __init__(
        self,
        runtime: ModelRuntime,
        store: Store,
        base_models: BaseModels,
        bundled: BundledModels,
        default_base: str,
        first: "ModelCatalog | None" = None,
    ) -> None:
        """`default_base` is what is built on where a creation names no base. `first` is the catalog of the first
        workspace, in any other one: base models wait there.
        """
        self._runtime = runtime
        self._store = store
        self._base_models = base_models
        self._bundled = bundled
        self._default_base = default_base
        self._first = first
        self._creating = asyncio.Lock()  # a loser's record must not take the winner's with it
        self.waiting: WaitingBases = (
            first.waiting if first else WaitingBases(runtime, store.models, base_models)
        )
        self._bound = bound_collections(store)

    async def all(self, *, embedders: bool = False) -> list[Model]:
        """Every model that can chat, by name, and with `embedders` every one that embeds too."""
        abilities = {"chat", "embed"} if embedders else {"chat"}
        infos = await self._listed(abilities)
        records = await anyio.to_thread.run_sync(self._store.models.seen)
        bases = await anyio.to_thread.run_sync(self._base_models.names)
        trainable = {model_key(name) for name in bases}
        return [_model(info, records.get(model_key(info.name)), trainable) for info in infos]

    async def page(
        self, after: str | None, limit: int | None, may_see: Callable[[str], bool]
    ) -> tuple[list[Model], bool]:
        """At most `limit` models (without it: all) whose names may be seen and come behind `after`; and whether there
        are more.
        """
        models = [
            model
            for model in await self.all()
            if may_see(model.info.name)
            and (after is None or model_key(model.info.name) > model_key(after))
        ]
        most = len(models) if limit is None else limit
        return models[:most], len(models) > most

    async def names(self, ability: str = "chat") -> list[str]:
        """Names of the models that can do something."""
        return [info.name for info in await self._listed({ability})]

    async def show(self, name: str, *, embedders: bool = False) -> Model:
        """One model; `errors.ModelNotFound` names the others."""
        models = await self.all(embedders=embedders)
        for model in models:
            if model_key(model.info.name) == model_key(name):
                return model
        raise ModelNotFound(name, [model.info.name for model in models])

    async def create(
        self,
        name: str,
        base: str | None,
        persona: Persona,
        *,
        replace: bool,
        collection: str = "",
    ) -> Model:
        """A persona over a base, with the `collection` (name or id) it answers from; returns it as it is listed."""
        base = base or self._default_base
        collections = self._store.collections
        found = await anyio.to_thread.run_sync(collections.seen, collection) if collection else None
        self._bundled.require(base)
        name = valid_model_name(name)
        source = await self._base(base)
        async with self._creating:
            await self._require_free(name, replace)
            async with self._recorded(name, source.info.name):
                await self._runtime.create_model(
                    name, ExistingModel(source.info.name), persona, replace=replace
                )
            await anyio.to_thread.run_sync(bind, self._store, name, found.id if found else "")
        return await self.show(name)

    async def share(self, name: str, shared: bool) -> Model:
        """As `share_model`; `errors.ModelNotFound`."""
        model = await self.show(name)
        await anyio.to_thread.run_sync(share_model, self._store, model.info.name, shared)
        return dataclasses.replace(model, shared=shared)

    async def collection_of(self, name: str) -> str:
        """As `bound_collection`."""
        return await self._bound.of(name)

    async def _base(self, name: str) -> Model:
        """The model to build on; `errors.NotFound` says what a folder lacks that can only be trained."""
        await self.waiting.take_in(name)
        try:
            return await self.show(name)
        except ModelNotFound as error:
            folder = await anyio.to_thread.run_sync(self._base_models.folder_of, name)
            if folder is None:
                raise
            raise NotFound(
                f"{folder.name!r} can be fine-tuned and has no GGUF file to chat with. "
                f"Make it: python scripts/load_base_model.py --from-dir {folder}",
                **error.extra,
            ) from None

    @contextlib.asynccontextmanager
    async def _recorded(self, name: str, base: str) -> AsyncIterator[None]:
        """The record comes before the model: a crash between leaves one that doctor removes. A model that is made
        anew over itself stays what it was.
        """
        records = self._store.models
        earlier = await anyio.to_thread.run_sync(records.get, name)
        if earlier is None or model_key(base) != model_key(name):
            await anyio.to_thread.run_sync(records.put, name, "persona", base)
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True):
                if earlier is None:
                    await anyio.to_thread.run_sync(records.remove, name)
                else:
                    await anyio.to_thread.run_sync(records.put_back, earlier)
            raise

    async def delete(self, name: str) -> str:
        """Delete a model, also a damaged one, which no list shows; returns its name as it was listed."""
        async with self._creating:  # whose record must not go with this one's
            try:
                listed = (await self.show(name)).info.name
            except ModelNotFound:
                if not await self._is_damaged(name):
                    raise
                listed = name
            for job in await self._jobs("queued", "running"):
                if model_key(job.base_model) == model_key(name):
                    raise ModelInUse(
                        f"Job {job.id} trains from {listed!r}. "
                        "Wait for it or cancel it, then delete the model."
                    )
            record = await anyio.to_thread.run_sync(self._store.models.get, name)
            await self._runtime.delete_model(listed)
            await anyio.to_thread.run_sync(self._store.models.remove, name)
            if record is None and self._first is None:
                await anyio.to_thread.run_sync(self._base_models.deleted, name)
            return listed

    async def learned_from(self, *origins: str) -> list[str]:
        """Names of the models that learned from datasets or documents, told by id or by the SHA-256 of the file."""
        records = await anyio.to_thread.run_sync(self._store.models.all)
        return learned_from(records.values(), frozenset(origins))

    async def require_chat(self, name: str) -> str:
        """The model's name as it is listed; as `chat_model`."""
        return (await self.chat_model(name)).name

    async def chat_model(self, name: str) -> ModelInfo:
        """A model to chat with, found once; `errors.ModelNotFound` names the others, `errors.NotReady` is for a bundled
        one that is still being made.
        """
        info = await self._found(name)
        if "chat" not in info.capabilities:
            raise InvalidOption(f"The model {name!r} cannot chat.", where="modelName")
        return info

    async def embedding_model(self, name: str) -> ModelInfo:
        """A model that makes vectors, in the same way."""
        info = await self._found(name, "embed")
        if "embed" not in info.capabilities:
            known = ", ".join(await self.names("embed")) or "none"
            raise InvalidOption(
                f"The model {name!r} makes no vectors. These do: {known}.", where="modelName"
            )
        return info

    async def _listed(self, abilities: set[str]) -> list[ModelInfo]:
        infos = await self._runtime.models()
        return [
            info
            for info in infos
            if abilities & info.capabilities and not info.name.endswith(CHECKING)
        ]

    async def _found(self, name: str, ability: str = "chat") -> ModelInfo:
        self._bundled.require(name)
        try:
            info = await self._asked(model_key(name))
        except ModelNotFound:
            raise ModelNotFound(name, await self.names(ability)) from None
        if info.name.endswith(CHECKING):
            raise ModelNotFound(name, await self.names(ability))
        return info

    async def _asked(self, name: str) -> ModelInfo:
        try:
            return await self._runtime.show(name)
        except ModelNotFound:
            if not await self.waiting.take_in(name):
                raise
            return await self._runtime.show(name)

    async def _jobs(self, *statuses: JobStatus) -> list[Job]:
        return await anyio.to_thread.run_sync(lambda: self._store.jobs.all(*statuses))

    async def _require_free(self, name: str, replace: bool) -> None:
        key = model_key(name)
        names = [info.name for info in await self._listed({"chat"}) if takes_its_name(info)]
        listed = next((one for one in names if model_key(one) == key), None)
        record = await anyio.to_thread.run_sync(self._store.models.get, name)
        if listed and record is None:
            raise NameTaken(f"{listed!r} is a base model and cannot be replaced.")
        if listed and replace:
            return
        if listed:
            raise NameTaken(
                f"A model named {listed!r} exists. Choose another name, or replace it with replace=true."
            )
        if record and replace and await self._is_damaged(name):
            await require_unpromised(self._store, name)
        else:
            await require_free(self._store, self._runtime, name)

    async def _is_damaged(self, name: str) -> bool:
        """Whether a model is there that no list shows because it cannot be read, or not even found."""
        if name.endswith(CHECKING):
            return False
        try:
            await self._runtime.show(name)
        except ModelDamaged:
            return True
        except ModelNotFound:
            return await anyio.to_thread.run_sync(self._store.models.get, name) is not None
        return False


def _model(info: ModelInfo, record: ModelRecord | None, trainable: set[str]) -> Model:
    key = model_key(info.name)
    if record is None:
        return Model(info, "base", "", "", key in trainable)
    is_own = takes_its_name(info)
    is_trainable = is_own and bool(trainable & {key, model_key(record.root)})
    return Model(
        info,
        record.kind,
        record.base,
        record.job_id,
        is_trainable,
        record.warning,
        recorded(record),
        record.collection if is_own else "",
        record.shared,
    )
