"""The cards of things on a shelf: each changed by one at a time, whoever wants it changed."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import anyio.to_thread

from api.data_folder.shelf import Shelf


class Carded(Protocol):
    """What a card describes."""

    @property
    def status(self) -> str:
        """How far it is."""

    def card(self) -> Mapping[str, Any]:
        """As it is written."""


C = TypeVar("C", bound=Carded)


class Cards(Generic[C]):
    """Every method that takes an id raises `errors.NotFound`."""

    def __init__(self, shelf: Shelf, read: Callable[[str, Mapping[str, Any]], C]) -> None:
        """`shelf` is that of all workspaces; `read` reads one of its cards."""
        self.shelf = shelf
        self._read = read
        self._changing = asyncio.Lock()

    async def get(self, id: str) -> C:
        """One thing, whosever it is."""
        return self._read(id, await anyio.to_thread.run_sync(self.shelf.card, id))

    async def owner(self, id: str) -> str:
        """The workspace of a thing."""
        return await anyio.to_thread.run_sync(self.shelf.owner, id)

    def folder(self, id: str) -> Path:
        """Where its files lie; blocking."""
        return self.shelf.find(id)

    async def change(self, id: str, among: Collection[str], to: Callable[[C], C]) -> C:
        """Change it where it has one of the statuses; returns it as it is now."""
        async with self._changing:
            found = await self.get(id)
            if found.status in among:
                found = to(found)
                await anyio.to_thread.run_sync(self.shelf.update, id, found.card())
            return found
