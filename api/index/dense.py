"""Nearest by meaning: from the vector store, or compared in the database while that is behind or away."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial

import anyio
from anyio.to_thread import run_sync

from api import faults
from api.errors import ApiError, Unavailable
from api.index.compared import Comparison
from api.index.embeddings import Vectors
from api.index.following import BATCH, Difference, mend, put, vector_differences
from api.index.values import Scored, VectorSet
from api.index.vector_store import VectorStore
from api.store import Store
from api.store.database import batches
from api.store.documents import Document

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 8
"""Searches in the vector store at once: one that is silent leaves threads for everything else."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before another try to repair; longer each time until a search goes well."""


class DenseIndex:
    """The vectors of the store's documents.

    Every id in the vector store has a row in the store: rows come before vectors and go after them. While
    `is_behind`, vectors are compared in the store instead: slower, and as right. A vector store that is away
    or fails keeps nobody from anything: what it misses meanwhile is put right as soon as it serves again.
    """

    def __init__(self, store: Store, vectors: VectorStore, *, is_behind: bool) -> None:
        self._store = store
        self._vectors = vectors
        self._comparison = Comparison(store)
        self._is_behind = is_behind
        self._away = ""  # why the vector store cannot be used
        self._notes: tuple[str, ...] = ()
        self._writing = anyio.Lock()
        self._asking = anyio.Semaphore(ASKED_AT_ONCE)
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._scope: anyio.CancelScope | None = None  # of the task that waits for the vectors

    async def place(self, document: Document, version: str) -> None:
        """Put the vectors of a document's content into its collection's set; idempotent."""
        store, where = self._store, VectorSet(document.collection_id, version)
        async with self._writing:
            await run_sync(store.documents.mark_placed, document.id, version)
        ids = await run_sync(store.chunks.ids, document.content_id)
        for some in batches(ids, BATCH):
            async with self._writing:  # given up between steps: searches and deletes go on
                await self._write(partial(put, store, self._vectors, where, some))
            faults.point("import_vectors_stored")

    async def remove(self, document: Document) -> None:
        """Take a document's vectors out of its collection's sets; idempotent."""
        documents, collection = self._store.documents, document.collection_id

        def found() -> tuple[set[str], Sequence[int]]:
            documents.mark_taken_out(document.id)  # no repair puts them back
            shared = documents.shares_content(document, collection)
            ids = () if shared else self._store.chunks.ids(document.content_id)
            return documents.versions_in(collection), ids

        def take_out() -> None:
            for one in self._vectors.sets():
                if one.collection == collection:
                    if one.embedder not in versions:
                        self._vectors.drop(one)
                    elif ids:
                        self._vectors.delete(one, ids)

        async with self._writing:
            versions, ids = await run_sync(found)
            await self._write(take_out)

    def renew(self) -> None:
        """The store's vectors have got another version's name: search there until the sets follow."""
        if not self._is_behind:
            self._is_behind = True
            self._start_coming_back()

    async def drop_all(self) -> None:
        """Take all vectors out; `repair` puts them back from the store."""

        def drop() -> None:
            for one in self._vectors.sets():
                self._vectors.drop(one)

        async with self._writing:
            self._is_behind = True
            await run_sync(drop)

    async def counts(self) -> dict[VectorSet, int]:
        """How many vectors each set holds."""

        def count() -> dict[VectorSet, int]:
            return {one: len(self._vectors.ids(one)) for one in self._vectors.sets()}

        return await run_sync(count)

    async def nearest(
        self, collections: Sequence[str], vectors: Vectors, version: str, limit: int
    ) -> list[list[Scored]]:
        """For each vector the nearest chunks of these collections, best first."""
        async with self._asking:
            if not self._is_behind:
                sets = [VectorSet(one, version) for one in collections]
                try:
                    found = await run_sync(self._query, sets, vectors, limit)
                except ApiError as error:
                    self._fall_behind(error)
                else:
                    self._pause_seconds = FIRST_PAUSE_SECONDS
                    return found
        return await self._comparison.nearest(vectors, version, limit, collections=collections)

    async def compared(
        self, documents: Sequence[str], vectors: Vectors, version: str, limit: int
    ) -> list[list[Scored]]:
        """For each vector the nearest chunks of just these documents (ids), exactly, from the database."""
        return await self._comparison.nearest(vectors, version, limit, within=documents)

    async def differences(self) -> list[Difference]:
        """Where the vectors differ from the store."""
        async with self._writing:
            return await run_sync(vector_differences, self._store, self._vectors)

    async def repair(self) -> list[str]:
        """Make the vectors what the store says, without embedding anything; returns what was off.

        Raises what keeps it from that; it is then tried again behind until it is done.
        """
        try:
            found = await self._repair()
        except Exception as error:
            self._fall_behind(error)
            raise
        self._notes = tuple(f"Repaired: {text}" for text in found)
        return found

    async def check(self) -> tuple[str, ...]:
        """Raise when the vector store cannot serve; else notes for the operator."""
        if self._away:
            raise Unavailable(f"{self._away} Documents are searched in the database meanwhile.")
        await run_sync(self._vectors.check)
        if self._is_behind:
            return (*self._notes, "The vectors are being compared with the database.")
        return self._notes

    def close(self) -> None:
        """Give everything back."""
        if self._scope is not None:
            self._scope.cancel()
        self._vectors.close()

    def _query(self, sets: Sequence[VectorSet], vectors: Vectors, limit: int) -> list[list[Scored]]:
        found = [self._vectors.query(one, vectors, limit) for one in sets]
        return [_merged(per_query)[:limit] for per_query in zip(*found, strict=True)]

    async def _write(self, work: Callable[[], None]) -> None:
        """Change the vectors, or leave it to the repair that follows when that is not possible."""
        if self._away:
            return
        try:
            await run_sync(work)
        except ApiError as error:
            self._fall_behind(error)

    async def _repair(self) -> list[str]:
        await run_sync(self._vectors.check)
        self._away = ""  # from now on changes reach them; the earlier ones are found
        async with self._writing:  # what is too much goes while nobody adds
            differences = await run_sync(vector_differences, self._store, self._vectors)
            for one in differences:
                await run_sync(mend, self._store, self._vectors, one.surplus_only())
        for step in (step for one in differences for step in one.missing_only()):
            async with self._writing:  # given up between steps: imports and deletes go on
                await run_sync(mend, self._store, self._vectors, step)
        self._is_behind = bool(self._away)  # it can have gone away meanwhile
        return [one.text for one in differences]

    def _fall_behind(self, error: Exception) -> None:
        """Search in the database until a repair behind has gone well."""
        known = error if isinstance(error, ApiError) else None
        detail = known.detail if known else "Repairing the vectors failed; the log says why."
        if not self._away:
            trace = None if known else error
            log.warning("Documents are searched in the database: %s", detail, exc_info=trace)
        self._is_behind, self._away = True, detail
        self._start_coming_back()

    def _start_coming_back(self) -> None:
        if self._scope is None:
            self._scope = anyio.CancelScope()
            self._task = asyncio.create_task(self._come_back(self._scope), name="vectors")

    async def _come_back(self, scope: anyio.CancelScope) -> None:
        with scope:
            while self._is_behind:
                await anyio.sleep(self._pause_seconds)
                self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
                with contextlib.suppress(Exception):  # it keeps and logs the reason
                    for text in await self.repair():
                        log.warning("%s Put right.", text)
            log.info("The vectors answer again and are what the database says.")
        self._scope = None


def _merged(found: Sequence[Sequence[Scored]]) -> list[Scored]:
    """The hits of several sets, best first; a chunk that two of them hold counts once."""
    by_chunk = {hit.chunk_id: hit for hits in found for hit in hits}
    return sorted(by_chunk.values(), key=lambda hit: -hit.score)
