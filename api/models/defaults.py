"""What a model answers with where a request does not say: options, and words around what is asked, of any model.

They are kept by us, whatever runs the model, and put over what its persona says: `DefaultsRuntime` is a ModelRuntime
that shows them as the persona's, so that nobody above tells the two apart.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any
from weakref import WeakValueDictionary

from anyio.to_thread import run_sync

from api.models.remembered import Remembered
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
)
from api.runtime.over import RuntimeOver
from api.runtime.personas import options_parsed, options_written
from api.runtime.threads import in_thread_for_good
from api.store import Store


@dataclass(frozen=True, slots=True)
class Defaults:
    """Those of one model; an empty template is none."""

    options: Options = field(default_factory=Options)
    prompt_template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    def over(self, persona: Persona) -> Persona:
        """A persona that answers with them."""
        return replace(
            persona,
            parameters=self.options.over(persona.parameters),
            prompt_template=self.prompt_template,
            variables=self.variables,
        )

    def below(self, options: Options) -> "Defaults":
        """Those of a persona over the model, which sets these options itself."""
        own = {one.name: None for one in fields(Options) if getattr(options, one.name) is not None}
        return replace(self, options=replace(self.options, **own))


NOTHING = Defaults()


@dataclass(frozen=True, slots=True)
class Patched(ModelInfo):
    """A model with its defaults; `found` is it as it runs."""

    found: ModelInfo | None = None


class KeptDefaults:
    """The defaults of all models, by the runtime's names. A model and its defaults change together: one at a time."""

    def __init__(self, store: Store) -> None:
        self._rows = store.model_defaults
        self._read = Remembered(store.database, lambda name: _parsed(self._rows.get(name)))
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def all(self) -> Mapping[str, Defaults]:
        """Those of every model that has some, by `names.model_key`."""
        rows = await run_sync(self._rows.all)
        return {key: _parsed(about) for key, about in rows.items()}

    async def of(self, name: str) -> Defaults:
        """Those of one model."""
        return await self._read.of(name)

    async def put(self, name: str, defaults: Defaults, *, without: str = "") -> None:
        """Keep them in place of earlier ones, and none any more for the name `without`."""
        about = _written(defaults)
        await in_thread_for_good(lambda: self._rows.put(name, about, without=without))

    @asynccontextmanager
    async def alone(self, *names: str) -> AsyncIterator[None]:
        """Nobody else changes models of these names, or their defaults, meanwhile."""
        async with AsyncExitStack() as held:
            for key in sorted({model_key(name) for name in names}):
                await held.enter_async_context(self._changing.setdefault(key, asyncio.Lock()))
            yield


class DefaultsRuntime(RuntimeOver):
    """`ModelRuntime` over one whose models have defaults. One that is made of a file begins without."""

    def __init__(self, runtime: ModelRuntime, kept: KeptDefaults) -> None:
        super().__init__(runtime)
        self._kept = kept

    async def models(self) -> list[ModelInfo]:
        """All models."""
        kept = await self._kept.all()
        infos = await self._runtime.models()
        return [_patched(info, kept.get(model_key(info.name), NOTHING)) for info in infos]

    async def show(self, model: ModelRef) -> ModelInfo:
        """One model."""
        found = await self._runtime.show(_as_it_runs(model))
        return _patched(found, await self._kept.of(found.name))

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model. One over another begins with what that one has, where it sets nothing itself."""
        async with self._kept.alone(name):
            inherited = NOTHING
            if isinstance(source, ExistingModel):
                inherited = (await self._kept.of(source.name)).below(persona.parameters)
            await self._runtime.create_model(name, source, persona, replace=replace)
            await self._kept.put(name, inherited)

    async def rename(self, name: str, new_name: str) -> None:
        """Give a model another name; its defaults go along."""
        async with self._kept.alone(name, new_name):
            await self._runtime.rename(name, new_name)
            await self._kept.put(new_name, await self._kept.of(name), without=name)

    async def delete_model(self, name: str) -> None:
        """Delete a model, and its defaults."""
        async with self._kept.alone(name):
            await self._runtime.delete_model(name)
            await self._kept.put(name, NOTHING)

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
        answering = self._runtime.chat(
            _as_it_runs(model),
            messages,
            options.over(await self._options(model)),
            least_tokens=least_tokens or options.max_tokens or 1,
            prompt_tokens=prompt_tokens,
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(
        self, model: ModelRef, prompt: str, options: Options, *, least_tokens: int | None = None
    ) -> AsyncGenerator[Piece, None]:
        """Go on with a text in pieces."""
        chosen = options.over(await self._options(model))
        answering = self._runtime.complete(
            _as_it_runs(model),
            prompt,
            chosen,
            least_tokens=least_tokens or options.max_tokens or 1,
        )
        async with aclosing(answering) as pieces:
            async for piece in pieces:
                yield piece

    async def _options(self, model: ModelRef) -> Options:
        if isinstance(model, ModelInfo):
            return model.persona.parameters
        return (await self._kept.of(model)).options


def _as_it_runs(model: ModelRef) -> ModelRef:
    return model.found if isinstance(model, Patched) and model.found else model


def _patched(found: ModelInfo, defaults: Defaults) -> ModelInfo:
    if defaults == NOTHING:
        return found
    values = {one.name: getattr(found, one.name) for one in fields(ModelInfo)}
    return Patched(**values | {"persona": defaults.over(found.persona), "found": found})


def _written(defaults: Defaults) -> dict[str, Any]:
    """As JSON; nothing for nothing."""
    about = {
        "options": options_written(defaults.options),
        "prompt_template": defaults.prompt_template,
        "variables": dict(defaults.variables),
    }
    return {name: value for name, value in about.items() if value}


def _parsed(about: Mapping[str, Any]) -> Defaults:
    if not about:
        return NOTHING
    return Defaults(
        options_parsed(about.get("options", {})),
        about.get("prompt_template", ""),
        about.get("variables", {}),
    )
