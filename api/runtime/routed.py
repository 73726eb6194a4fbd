"""A ModelRuntime over several: each name is a model of the home runtime, or of a back end, and nobody above notices."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Protocol

from api.errors import ModelNotFound, NameTaken
from api.names import model_key
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
    name_of,
)
from api.runtime.over import RuntimeOver
from api.runtime.training import Training
from finetune.job.device import Device


class BackEnds(Protocol):
    """The runtimes beside the home runtime, as they are now; nobody waits for a network to be told."""

    def behind(self, name: str) -> ModelRuntime | None:
        """What runs the model of that name."""
        ...

    def all(self) -> Collection[ModelRuntime]:
        """Every one."""
        ...

    def reserve(self, trainings: Sequence[Training]) -> None:
        """None of them loads a model where one of these trains."""
        ...


class RoutedRuntime(RuntimeOver):
    """`ModelRuntime` over the home runtime and the back ends beside it. Files are the home runtime's."""

    def __init__(self, home: ModelRuntime, back_ends: BackEnds) -> None:
        super().__init__(home)
        self._back_ends = back_ends

    async def models(self) -> list[ModelInfo]:
        """All models by name; a back end's stands for one of the home runtime that has come to its name."""
        every = {model_key(info.name): info for info in await self._runtime.models()}
        for runtime in self._back_ends.all():
            every |= {model_key(info.name): info for info in await runtime.models()}
        return [every[key] for key in sorted(every)]

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model; `errors.ModelNotFound` names those of all runtimes."""
        try:
            return await self._of(model).show(model)
        except ModelNotFound as error:
            raise await self._missing(error.name) from None

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model where its base runs, or at home of a file; never in place of one that runs elsewhere."""
        into = self._of(source.name) if isinstance(source, ExistingModel) else self._runtime
        there = await self._where(name)
        if there not in (None, into):
            raise NameTaken(
                f"A model named {name!r} exists, and runs elsewhere. Choose another name, or delete it first."
            )
        await into.create_model(name, source, persona, replace=replace)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name; `errors.NameTaken` wherever the one that has it runs."""
        runtime = self._of(name)
        there = await self._where(new_name)
        if there is not None and there is not runtime:
            raise NameTaken(f"A model named {new_name!r} exists.")
        await runtime.rename(name, new_name)

    async def chat(
        self,
        model: ModelRef,
        messages: Sequence[Message],
        options: Options,
        *,
        least_tokens: int | None = None,
        prompt_tokens: int | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Answer in pieces. Where the model runs is looked up when the first is asked for: it may change while somebody
        waits for a place.
        """
        answering = self._of(model).chat(
            model, messages, options, least_tokens=least_tokens, prompt_tokens=prompt_tokens
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces; likewise."""
        answering = self._of(model).complete(model, prompt, options, least_tokens=least_tokens)
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def release_memory(self, device: Device | None = None) -> None:
        """Unload models, at home and of the servers that are started here."""
        every = (self._runtime, *self._back_ends.all())
        await asyncio.gather(*(runtime.release_memory(device) for runtime in every))

    def reserve(self, trainings: Sequence[Training]) -> None:
        """These train now."""
        self._runtime.reserve(trainings)
        self._back_ends.reserve(trainings)

    async def check(self) -> tuple[str, ...]:
        """Hints for the operator. A back end that is away is one of them: the others are asked all the same."""
        back_ends = [runtime.check() for runtime in self._back_ends.all()]
        home, *others = await asyncio.gather(self._runtime.check(), *back_ends)
        return (*home, *(hint for hints in others for hint in hints))

    def _of(self, model: ModelRef) -> ModelRuntime:
        """What runs a model. One that a back end had, and has no more, is nowhere."""
        name = name_of(model)
        behind = self._back_ends.behind(name)
        if behind is None and isinstance(model, ModelInfo) and model.back_end:
            raise ModelNotFound(name)
        return behind or self._runtime

    async def _where(self, name: str) -> ModelRuntime | None:
        """What runs the model of a name, None where nobody has it."""
        behind = self._back_ends.behind(name)
        if behind is not None:
            return behind
        names = {model_key(info.name) for info in await self._runtime.models()}
        return self._runtime if model_key(name) in names else None

    async def _missing(self, name: str) -> ModelNotFound:
        return ModelNotFound(name, [info.name for info in await self.models()])
