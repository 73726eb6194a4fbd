"""The cards of all batches: each changed by one at a time, whoever wants it changed."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

import anyio.to_thread

from api.batches.values import Batch, Status, from_card
from api.data_folder.shelf import Shelf


class Cards:
    """Every method that takes an id raises `errors.NotFound`."""

    def __init__(self, shelf: Shelf) -> None:
        """`shelf` is that of all workspaces."""
        self.shelf = shelf
        self._changing = asyncio.Lock()

    async def get(self, id: str) -> Batch:
        """One batch, whosever it is."""
        return from_card(id, await anyio.to_thread.run_sync(self.shelf.card, id))

    async def owner(self, id: str) -> str:
        """The workspace of a batch."""
        return await anyio.to_thread.run_sync(self.shelf.owner, id)

    def folder(self, id: str) -> Path:
        """Where its files lie; blocking."""
        return self.shelf.find(id)

    async def change(
        self, id: str, among: Collection[Status], to: Callable[[Batch], Batch]
    ) -> Batch:
        """Change it where it has one of the statuses; returns it as it is now."""
        async with self._changing:
            batch = await self.get(id)
            if batch.status in among:
                batch = to(batch)
                await anyio.to_thread.run_sync(self.shelf.update, id, batch.card())
            return batch
