"""Documents are read a few at a time: a small one does not wait for big ones, nor any for what is read off pictures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio

from api.documents.extract import Bounds, extract, open_server
from api.errors import DocumentUnusable
from api.store.contents import Extracted

PARSERS = 2
"""Documents parsed at once, and beside them one that is small."""
SMALL_BYTES = 2**20
HOLDS_BACK = frozenset({"page_without_text", "unreadable_font"})
"""The notices that say that pages hold more than their text."""


class Reader:
    """Reads documents within bounds; those with pictures of text once more, one after the other."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._server = open_server()
        self._parsing = anyio.Semaphore(PARSERS)
        self._parsing_small = anyio.Semaphore(1)
        self._recognising = anyio.Semaphore(1)
        self.waiting = 0
        """Documents that wait for their turn."""

    async def read(self, file: Path, kind: str, password: str, size_bytes: int) -> Extracted:
        """The pages; `errors.DocumentUnusable` says why it cannot be used."""
        found = None
        async with self._waited(self._turn(size_bytes)):
            try:
                plain = replace(self._bounds, recogniser=None)
                found = await extract(self._server, file, plain, kind, password=password)
            except DocumentUnusable as error:
                if error.reason != "no_text" or not self._bounds.recogniser or kind != "pdf":
                    raise
        if found and not (self._bounds.recogniser and kind == "pdf" and _holds_back(found)):
            return found
        async with self._waited(self._recognising):
            return await extract(self._server, file, self._bounds, kind, password=password)

    async def close(self) -> None:
        """End the process that reads."""
        await self._server.close()

    @asynccontextmanager
    async def _waited(self, turn: anyio.Semaphore) -> AsyncIterator[None]:
        self.waiting += 1
        try:
            await turn.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            turn.release()

    def _turn(self, size_bytes: int) -> anyio.Semaphore:
        is_small = size_bytes <= SMALL_BYTES
        return self._parsing_small if is_small and not self._parsing.value else self._parsing


def _holds_back(found: Extracted) -> bool:
    return any(notice["code"] in HOLDS_BACK for notice in found.notices)
