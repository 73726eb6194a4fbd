"""Names under which models are made until they are whole.

What is broken off the server may finish all the same, at once or later: it is looked for and taken back.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from api.errors import ApiError, Unavailable
from api.names import CHECKING
from api.runtime.ollama.client import OllamaClient

_LOOKS_AFTER_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0)


def half_made_name(name: str) -> str:
    """The name that no list shows, under which a model is made before it gets its own."""
    return name if name.endswith(CHECKING) else f"{name}{CHECKING}"


class HalfMade:
    """Belongs to one event loop; the caller sees to it that nobody else makes the same name meanwhile."""

    def __init__(self, client: OllamaClient) -> None:
        self._client = client
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._creations = 0

    @asynccontextmanager
    async def whole_or_gone(self, name: str) -> AsyncIterator[None]:
        """What is made under the name inside stays when that ends well; else it is taken back."""
        self._stop_looking(name)
        self._creations += 1
        try:
            yield
        except BaseException as error:
            if _is_broken_off(error):
                self._look_for(name)
            else:
                await self._delete(name)
            raise
        finally:
            self._creations -= 1

    async def give_name(self, made: str, name: str, *, is_new: bool) -> None:
        """Give a whole model its own name, over another model unless that `is_new`."""
        self._stop_looking(name)
        try:
            async with self.whole_or_gone(made):
                await self._client.copy(made, name)
        except BaseException as error:
            if is_new and _is_broken_off(error):
                self._look_for(name)
            raise
        try:
            await self._client.delete(made)
        except ApiError:  # the model is there
            self._look_for(made)

    async def close(self) -> None:
        """Stop looking; what is there now is deleted."""
        names = [name for name, task in self._looking.items() if not task.done()]
        for name in names:
            self._looking[name].cancel()
        await asyncio.gather(*(self._delete(name) for name in names))

    def _look_for(self, name: str) -> None:
        is_ours_alone = name.endswith(CHECKING)
        looks = _LOOKS_AFTER_SECONDS if is_ours_alone else _LOOKS_AFTER_SECONDS[:2]
        self._looking[name] = asyncio.create_task(self._look(name, looks))

    def _stop_looking(self, name: str) -> None:
        if task := self._looking.pop(name, None):
            task.cancel()

    async def _look(self, name: str, after_seconds: Sequence[float]) -> None:
        for seconds in after_seconds:
            await asyncio.sleep(seconds)
            if not self._creations:  # a deletion takes layers away that no model has yet
                await self._delete(name)

    async def _delete(self, name: str) -> None:
        with suppress(ApiError):
            await self._client.delete(name)


def _is_broken_off(error: BaseException) -> bool:
    """Whether the server may go on; what it says no to has ended."""
    return isinstance(error, Unavailable) or not isinstance(error, ApiError)
