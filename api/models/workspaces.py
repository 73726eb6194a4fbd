"""What a workspace sees of the runtime and the store: its own, under plain names, and the models that all share.

The runtime has one list of models. A workspace's own are in it as `names.runtime_name` says. Shared are those of the
first workspace that have no record, which are base models, and those whose record says so. What is another one's is not
there, whatever it is called.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, fields
from typing import NamedTuple

from anyio.to_thread import run_sync

from api.errors import ApiError, ModelNotFound, ReadOnly
from api.names import CHECKING, WORKSPACE, in_workspace, model_key, runtime_name
from api.runtime import (
    ExistingModel,
    Message,
    ModelInfo,
    ModelRef,
    ModelRuntime,
    ModelSource,
    Options,
    Persona,
    Piece,
    TokenCount,
    name_of,
)
from api.runtime.training import Training
from api.store import Store
from api.store.models import Models
from finetune.job.device import Device


class Workspace(NamedTuple):
    """The rows and the models of a workspace."""

    id: str
    store: Store
    runtime: ModelRuntime


class Workspaces:
    """The workspaces of an installation. `store` and `runtime` are those of all of them, for work in the background."""

    def __init__(self, store: Store, runtime: ModelRuntime) -> None:
        self.store = store
        self.runtime = runtime
        self._seen: dict[str, Workspace] = {}

    def of(self, id: str) -> Workspace:
        """What that one sees."""
        if id not in self._seen:
            shared = self.store.of(WORKSPACE).models
            runtime = WorkspaceRuntime(self.runtime, id, shared)
            self._seen[id] = Workspace(id, self.store.of(id), runtime)
        return self._seen[id]


@dataclass(frozen=True, slots=True)
class Known(ModelInfo):
    """A model by the name that its workspace calls it; `found` is it as the runtime has it. `is_lent`: it is no base
    model and another workspace's, which shares it.
    """

    found: ModelInfo | None = None
    is_lent: bool = False


class WorkspaceRuntime:
    """`ModelRuntime` over one, as a workspace sees it. No `RuntimeOver`: what it does not know must not get past it."""

    def __init__(self, runtime: ModelRuntime, workspace: str, of_first: Models) -> None:
        """`of_first` are the records of the first workspace: a model there that has none is shared, as one whose record
        says so.
        """
        self._runtime = runtime
        self._workspace = workspace
        self._is_first = workspace == WORKSPACE
        self._of_first = of_first

    async def models(self) -> list[ModelInfo]:
        """Its own models and the shared ones, sorted by name; its own stands for a shared one of the same name."""
        found = [(*in_workspace(info.name), info) for info in await self._runtime.models()]
        own = {
            model_key(name): _known(name, info)
            for whose, name, info in found
            if whose == self._workspace
        }
        if self._is_first:
            return list(own.values())
        records = await run_sync(self._of_first.all)
        of_first = {model_key(name): info for whose, name, info in found if whose == WORKSPACE}
        shared = {
            key: _known(info.name, info, is_lent=key in records)
            for key, info in of_first.items()
            if not _is_checked(info.name) and (key not in records or records[key].shared)
        }
        every = shared | own
        return [every[key] for key in sorted(every)]

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        async with self._by_its_names(model):
            asked, is_lent = await self._looked_up(model)
            found = await self._runtime.show(asked)
        return _known(in_workspace(found.name)[1], found, is_lent=is_lent)

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model of its own."""
        base: ModelRef = name
        if isinstance(source, ExistingModel):
            base = source.name
            source = ExistingModel(name_of(await self._found(base)))
        own = runtime_name(self._workspace, name)
        async with self._by_its_names(base):
            await self._runtime.create_model(own, source, persona, replace=replace)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model of its own another name."""
        names = (runtime_name(self._workspace, one) for one in (name, new_name))
        async with self._by_its_names(name):
            await self._runtime.rename(*names)

    async def delete_model(self, name: str) -> None:
        """Delete a model of its own; `errors.ReadOnly` for one that is shared with it."""
        own = None if self._is_another_ones(name) else runtime_name(self._workspace, name)
        async with self._by_its_names(name):
            try:
                if own is None:
                    raise ModelNotFound(name)
                await self._runtime.delete_model(own)
            except ModelNotFound:
                if await self._is_shared(name):
                    raise ReadOnly(
                        f"The model {name!r} is shared by the workspace {WORKSPACE!r}, which alone can change or "
                        "delete it. Here it can be asked and built on."
                    ) from None
                raise

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces."""
        async with self._by_its_names(model):
            pieces = self._runtime.chat(
                await self._found(model),
                messages,
                options,
                least_tokens=least_tokens,
                prompt_tokens=prompt_tokens,
            )
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces."""
        async with self._by_its_names(model):
            pieces = self._runtime.complete(
                await self._found(model), prompt, options, least_tokens=least_tokens
            )
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def count_tokens(
        self, model: ModelRef, messages: Sequence[Message], num_ctx: int | None = None
    ) -> TokenCount:
        """Tokens of a conversation."""
        async with self._by_its_names(model):
            return await self._runtime.count_tokens(await self._found(model), messages, num_ctx)

    async def tokenize_lengths(
        self, model: ModelRef, texts: Sequence[str], num_ctx: int | None = None
    ) -> list[int]:
        """Tokens of each text."""
        async with self._by_its_names(model):
            return await self._runtime.tokenize_lengths(await self._found(model), texts, num_ctx)

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text."""
        async with self._by_its_names(model):
            return await self._runtime.embed(await self._found(model), texts)

    async def rerank(self, model: ModelRef, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text."""
        async with self._by_its_names(model):
            return await self._runtime.rerank(await self._found(model), query, texts)

    async def release_memory(self, device: Device | None = None) -> None:
        """Unload the models of every workspace."""
        await self._runtime.release_memory(device)

    def reserve(self, trainings: Sequence[Training]) -> None:
        """For every workspace."""
        self._runtime.reserve(trainings)

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator."""
        return await self._runtime.check()

    async def close(self) -> None:
        """Who opened the runtime closes it."""

    async def _found(self, model: ModelRef) -> ModelRef:
        """What the runtime knows a model by."""
        asked, _ = await self._looked_up(model)
        return asked

    async def _looked_up(self, model: ModelRef) -> tuple[ModelRef, bool]:
        """The same, and whether it is lent; one that was found before is not looked for again."""
        if isinstance(model, Known) and model.found:
            return model.found, model.is_lent
        name = name_of(model)
        if self._is_another_ones(name):
            raise await self._missing(name)
        if self._is_first and name.isascii():
            return model, False  # no runtime reads it as another name
        for asked in dict.fromkeys((runtime_name(self._workspace, name), name)):
            try:
                found = await self._runtime.show(asked)
                return found, await self._is_lent(found)
            except ModelNotFound:
                continue
        raise await self._missing(name)

    async def _is_lent(self, found: ModelInfo) -> bool:
        """Whether another workspace shares it, and it is no base model; `errors.ModelNotFound` for what is neither its
        own nor shared, by the name that the runtime has for it, however it was asked for.
        """
        whose, name = in_workspace(found.name)
        if whose == self._workspace:
            return False
        if self._is_first or whose != WORKSPACE or _is_checked(name):
            raise ModelNotFound(name)
        record = await run_sync(self._of_first.get, name)
        if record and not record.shared:
            raise ModelNotFound(name)
        return record is not None

    def _is_another_ones(self, name: str) -> bool:
        """Whether it is written as the runtime writes names of workspaces, or so that a runtime could read it so."""
        return in_workspace(name.casefold())[0] != WORKSPACE

    async def _is_shared(self, name: str) -> bool:
        if self._is_first or self._is_another_ones(name):
            return False
        try:
            found = await self._runtime.show(name)
            await self._is_lent(found)
        except ModelNotFound:
            return False
        return in_workspace(found.name)[0] == WORKSPACE

    async def _missing(self, name: str) -> ModelNotFound:
        infos = await self.models()
        names = [one.name for one in infos if "chat" in one.capabilities]
        return ModelNotFound(name, [one for one in names if not _is_checked(one)])

    @asynccontextmanager
    async def _by_its_names(self, model: ModelRef) -> AsyncIterator[None]:
        """What goes wrong is told by the names of the workspace, and names no model of another one."""
        try:
            yield
        except ModelNotFound:
            raise await self._missing(name_of(model)) from None
        except ApiError as error:
            error.detail = error.detail.replace(runtime_name(self._workspace, ""), "")
            error.args = (error.detail,)
            raise


def _is_checked(name: str) -> bool:
    return name.endswith(CHECKING)


def _known(name: str, found: ModelInfo, *, is_lent: bool = False) -> ModelInfo:
    if name == found.name and not is_lent:
        return found
    values = {one.name: getattr(found, one.name) for one in fields(ModelInfo)}
    return Known(**values | {"name": name, "found": found, "is_lent": is_lent})
