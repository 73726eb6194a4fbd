"""What a workspace sees of the runtime and the store: its own, under plain names, and the models that all share.

The runtime has one list of models. A workspace's own are in it as `names.runtime_name` says; a base model, which is one
without a record in the first workspace, is shared. What is another one's is not there, whatever it is called.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, fields
from typing import NamedTuple

from anyio.to_thread import run_sync

from api.errors import ApiError, ModelNotFound, SharedModel
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
    """A model by the name that its workspace calls it; `found` is it as the runtime has it."""

    found: ModelInfo | None = None


class WorkspaceRuntime:
    """`ModelRuntime` over one, as a workspace sees it. No `RuntimeOver`: what it does not know must not get past it."""

    def __init__(self, runtime: ModelRuntime, workspace: str, of_first: Models) -> None:
        """`of_first` are the records of the first workspace: a model there that has none is shared."""
        self._runtime = runtime
        self._workspace = workspace
        self._is_first = workspace == WORKSPACE
        self._of_first = of_first

    async def models(self) -> list[ModelInfo]:
        """Its own models and the shared ones, sorted by name; its own stands for a shared one of the same name."""
        found = [(*in_workspace(info.name), info) for info in await self._runtime.models()]
        own = {
            model_key(name): self._known(name, info)
            for whose, name, info in found
            if whose == self._workspace
        }
        if self._is_first:
            return list(own.values())
        private = await run_sync(self._of_first.all)
        shared = {
            model_key(name): info
            for whose, name, info in found
            if whose == WORKSPACE and model_key(name) not in private and not _is_checked(name)
        }
        every = shared | own
        return [every[key] for key in sorted(every)]

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        async with self._by_its_names(model):
            found = await self._runtime.show(await self._found(model))
        return self._known(in_workspace(found.name)[1], found)

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
        """Delete a model of its own; `errors.SharedModel` for one that is not."""
        own = None if self._is_another_ones(name) else runtime_name(self._workspace, name)
        async with self._by_its_names(name):
            try:
                if own is None:
                    raise ModelNotFound(name)
                await self._runtime.delete_model(own)
            except ModelNotFound:
                if await self._is_shared(name):
                    raise SharedModel(
                        f"{name!r} is shared by all workspaces. Only the first one can delete it."
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
        self, model: ModelRef, prompt: str, options: Options
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces."""
        async with self._by_its_names(model):
            pieces = self._runtime.complete(await self._found(model), prompt, options)
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
        """What the runtime knows a model by; one that was found before is not looked for again."""
        if isinstance(model, Known) and model.found:
            return model.found
        name = name_of(model)
        if self._is_another_ones(name):
            raise await self._missing(name)
        if self._is_first and name.isascii():
            return model  # no runtime reads it as another name
        for asked in dict.fromkeys((runtime_name(self._workspace, name), name)):
            try:
                found = await self._runtime.show(asked)
            except ModelNotFound:
                continue
            if await self._sees(found):
                return found
        raise await self._missing(name)

    async def _sees(self, found: ModelInfo) -> bool:
        """Whether it is its own or shared, by the name that the runtime has for it, however it was asked for."""
        whose, name = in_workspace(found.name)
        if self._is_first or whose != WORKSPACE:
            return whose == self._workspace
        return not _is_checked(name) and await run_sync(self._of_first.get, name) is None

    def _is_another_ones(self, name: str) -> bool:
        """Whether it is written as the runtime writes names of workspaces, or so that a runtime could read it so."""
        return in_workspace(name.casefold())[0] != WORKSPACE

    async def _is_shared(self, name: str) -> bool:
        if self._is_first or self._is_another_ones(name):
            return False
        try:
            found = await self._runtime.show(name)
        except ModelNotFound:
            return False
        return in_workspace(found.name)[0] == WORKSPACE and await self._sees(found)

    async def _missing(self, name: str) -> ModelNotFound:
        infos = await self.models()
        names = [one.name for one in infos if "chat" in one.capabilities]
        return ModelNotFound(name, [one for one in names if not _is_checked(one)])

    def _known(self, name: str, found: ModelInfo) -> ModelInfo:
        if name == found.name:
            return found
        values = {one.name: getattr(found, one.name) for one in fields(ModelInfo)}
        return Known(**values | {"name": name, "found": found})

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
