"""Which models an Ollama server has. It is asked again and again, for others create and delete there too.

What it says of a model is kept until the model is made anew.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from api.errors import BackEndFailed, InvalidOption, ModelDamaged, ModelNotFound, NameTaken
from api.names import model_key
from api.runtime import ModelRef, name_of
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.errors import OwnFault
from api.runtime.ollama.models import OllamaModel, read_model
from api.runtime.ollama.transport import JSONObject

logger = logging.getLogger(__name__)
_SHOWN_AT_ONCE = 8
_LOOKS_AGAIN_SECONDS = 0.3
LIST_SECONDS = 1.0
"""How old the server's list may be in which a model is found that answers. What is not in it, and every list that is
shown, is asked for anew; a change of ours ends its time.
"""


class Library:
    """Belongs to one event loop."""

    def __init__(self, client: OllamaClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._look: asyncio.Task[list[JSONObject]] | None = None
        self._looked_at = 0.0
        self._known: dict[tuple[str, ...], OllamaModel] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._showing = asyncio.Semaphore(_SHOWN_AT_ONCE)

    async def models(self) -> list[OllamaModel]:
        """All models that can be read, sorted by name."""
        found = await asyncio.gather(*(self._readable(tag) for tag in await self._tags()))
        return sorted((model for model in found if model), key=lambda m: model_key(m.info.name))

    async def keys(self) -> set[str]:
        """What the names of all models are compared by."""
        return {_key(tag) for tag in await self._tags()}

    async def find(
        self, asked: ModelRef, capability: str | None = None, *, anew: bool = False
    ) -> OllamaModel:
        """One model; `ModelNotFound` names those that can chat, `InvalidOption` says that it is of another kind. The
        server is not asked for one that was found before, unless it has said since that it is another one now, nor for
        one that it had a moment ago, unless it is to be asked `anew`.
        """
        model = self._found_before(asked) or await self._found(asked, anew=anew)
        if model is None:
            raise await self._missing(name_of(asked))
        if capability and capability not in model.info.capabilities:
            makes = "text, no vectors" if capability == "embed" else "vectors, no text"
            raise InvalidOption(f"Model {model.info.name!r} makes {makes}. Use another model.")
        return model

    async def name(self, name: str) -> str:
        """The server's own name for a model, which need not be readable."""
        if tag := await self._tag(name):
            return str(tag["name"])
        raise await self._missing(name)

    async def _missing(self, name: str) -> ModelNotFound:
        """That there is no such model, and which there are that can chat."""
        infos = [model.info for model in await self.models()]
        return ModelNotFound(name, [info.name for info in infos if "chat" in info.capabilities])

    async def is_damaged(self, name: str) -> bool:
        """Whether the server has a model of that name and says, asked now and once more, that it cannot show it.
        What else keeps it from being shown, like a proxy, is raised.
        """
        for seconds in (_LOOKS_AGAIN_SECONDS, 0):
            tag = await self._tag(name)
            if tag is None:
                return False
            try:
                await self._client.show(str(tag["name"]))
            except (ModelNotFound, OwnFault):
                await asyncio.sleep(seconds)
            else:
                return False
        return True

    async def refuse_taken(self, name: str) -> None:
        """`NameTaken` when a model has the name."""
        if model_key(name) in await self.keys():
            raise NameTaken(f"A model named {name!r} exists. Choose another name, or replace it.")

    @asynccontextmanager
    async def alone(self, *names: str) -> AsyncIterator[None]:
        """Nobody else in this process creates, renames or deletes these meanwhile."""
        async with AsyncExitStack() as held:
            for key in sorted({model_key(name) for name in names}):
                await held.enter_async_context(self._locks.setdefault(key, asyncio.Lock()))
            try:
                yield
            finally:
                self._look = None

    def _found_before(self, asked: ModelRef) -> OllamaModel | None:
        return next((model for model in self._known.values() if model.info == asked), None)

    async def _found(self, asked: ModelRef, *, anew: bool) -> OllamaModel | None:
        name = name_of(asked)
        tag = await (self._tag(name) if anew else self._tag_of_late(name))
        model = await self._model(tag) if tag else None
        if tag and model is None and await self._tag(name):
            raise _damaged(name, "a file of it is missing")
        return model

    async def _tags(self) -> list[JSONObject]:
        """What the server has, asked now; what is known of models that it has no longer is forgotten."""
        tags = await self._client.tags()
        there = {_version(tag) for tag in tags}
        self._known = {key: model for key, model in self._known.items() if key in there}
        return tags

    async def _tag(self, name: str) -> JSONObject | None:
        return _of(name, await self._tags())

    async def _tag_of_late(self, name: str) -> JSONObject | None:
        """The same in a list that was asked for a moment ago, perhaps for others who still wait for it; in one of now
        where it is missing there.
        """
        look = self._look if self._clock() - self._looked_at < LIST_SECONDS else None
        if look and not _failed(look) and (tag := _of(name, await asyncio.shield(look))):
            return tag
        self._look, self._looked_at = asyncio.create_task(self._tags()), self._clock()
        self._look.add_done_callback(_failed)  # who waited may be gone
        return _of(name, await asyncio.shield(self._look))

    async def _readable(self, tag: JSONObject) -> OllamaModel | None:
        """What is known of a model; None, and a line in the log, when that cannot be read."""
        try:
            return await self._model(tag)
        except BackEndFailed as error:
            logger.warning("Model %r is not listed: %s", tag.get("name"), error.detail)
            return None

    async def _model(self, tag: JSONObject) -> OllamaModel | None:
        """What is known of a model; None when it was deleted a moment ago."""
        version = _version(tag)
        if version not in self._known:
            name = str(tag["name"])
            try:
                async with self._showing:
                    shown = await self._client.show(name)
            except ModelNotFound:
                return None
            except OwnFault as error:
                raise _damaged(name, error.detail) from error
            self._known[version] = _read(tag, shown)
        return self._known[version]


def _read(tag: JSONObject, shown: JSONObject) -> OllamaModel:
    try:
        return read_model(tag, shown)
    except BackEndFailed as error:
        raise _damaged(str(tag["name"]), error.detail) from error


def _damaged(name: str, why: str) -> ModelDamaged:
    return ModelDamaged(
        f"Model {name!r} is damaged: Ollama lists it and cannot read it ({why}). "
        "Delete it, or create it anew with replace=true."
    )


def _failed(look: "asyncio.Task[list[JSONObject]]") -> bool:
    return look.done() and (look.cancelled() or look.exception() is not None)


def _of(name: str, tags: Sequence[JSONObject]) -> JSONObject | None:
    return next((tag for tag in tags if _key(tag) == model_key(name)), None)


def _key(tag: JSONObject) -> str:
    return model_key(str(tag.get("name", "")))


def _version(tag: JSONObject) -> tuple[str, ...]:
    return tuple(str(tag.get(name)) for name in ("name", "digest", "modified_at"))
