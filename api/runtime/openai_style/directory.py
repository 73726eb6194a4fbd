"""The names of models that run elsewhere: those that a back end is said to have, and the personas made over them.

Held in memory, so that no list waits for a network; who keeps them beyond that is told of each change.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from api.errors import ModelNotFound, NameTaken
from api.names import model_key
from api.runtime import ModelInfo, Persona
from api.runtime.threads import in_thread_for_good


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model by our name, and by that of the back end it runs on; `base` is ours of what a persona was made over."""

    name: str
    back_end: str
    remote: str
    context_length: int
    capabilities: frozenset[str]
    template: str = ""
    size_bytes: int = 0
    base: str = ""
    persona: Persona = field(default_factory=Persona)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def info(self) -> ModelInfo:
        """It as it is listed. Its digest is of its names: what weights a back end has, it does not say."""
        called = f"{self.back_end}\n{self.remote}"
        return ModelInfo(
            name=self.name,
            size_bytes=self.size_bytes,
            context_length=self.context_length,
            capabilities=self.capabilities,
            template=self.persona.template or self.template,
            persona=self.persona,
            modified_at=self.created_at,
            digest=hashlib.sha256(called.encode()).hexdigest(),
            back_end=self.back_end,
        )


class Keeper(Protocol):
    """Keeps the models beyond the process; called from threads."""

    def put(self, model: RemoteModel, instead_of: str) -> None:
        """Keep a model, in place of that of another name."""
        ...

    def remove(self, name: str) -> None:
        """Keep it no more."""
        ...


class Directory:
    """Remote models by name, of all back ends."""

    def __init__(self, models: Iterable[RemoteModel] = (), keeper: Keeper | None = None) -> None:
        self._models = {model_key(model.name): model for model in models}
        self._keeper = keeper

    def all(self) -> Collection[RemoteModel]:
        """Every one."""
        return self._models.values()

    def find(self, name: str) -> RemoteModel | None:
        """The one of that name."""
        return self._models.get(model_key(name))

    def get(self, name: str, back_end: str) -> RemoteModel:
        """The one of that name on a back end; `errors.ModelNotFound` names the others there."""
        found = self.find(name)
        if found is None or found.back_end != back_end:
            there = sorted(one.name for one in self.all() if one.back_end == back_end)
            raise ModelNotFound(name, there)
        return found

    async def put(
        self, model: RemoteModel, *, may_replace: bool = False, instead_of: str = ""
    ) -> None:
        """Name a model, in place of one of the name `instead_of`; `errors.NameTaken` where another has it."""
        key, old = model_key(model.name), model_key(instead_of)
        if key in self._models and key != old and not may_replace:
            raise NameTaken(
                f"A model named {self._models[key].name!r} exists. Choose another name, or replace it."
            )
        keeper = self._keeper
        before = {one: self._models.pop(one) for one in (key, old) if one in self._models}
        self._models[key] = model  # at once: two who come together do not both find it free
        if keeper is not None:
            try:
                await in_thread_for_good(lambda: keeper.put(model, instead_of or model.name))
            except BaseException:
                del self._models[key]
                self._models |= before
                raise

    def know(self, models: Iterable[RemoteModel]) -> None:
        """Models that are kept already."""
        self._models |= {model_key(model.name): model for model in models}

    def forget(self, names: Iterable[str]) -> None:
        """Models that are kept no more."""
        for name in list(names):
            self._models.pop(model_key(name), None)

    async def rename(self, model: RemoteModel, new_name: str) -> None:
        """Give a model another name."""
        await self.put(replace(model, name=new_name), instead_of=model.name)

    async def remove(self, model: RemoteModel) -> None:
        """Name it no more."""
        keeper = self._keeper
        if keeper is not None:
            await in_thread_for_good(lambda: keeper.remove(model.name))
        self._models.pop(model_key(model.name), None)
