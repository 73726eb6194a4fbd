"""Nearest by meaning, compared in the database: exact, in bounded memory, one search at a time.

The vectors that were compared last are kept as long as nothing changes in the store, if they are few enough: who asks
again, or whose vector store is away, does not read them again (`scripts/bench_compared.py` has the figures).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio
import numpy as np
import numpy.typing as npt
from anyio.to_thread import run_sync

from api.index.embeddings import Vectors
from api.index.values import Scored
from api.store import Store
from api.store.vectors import Block

BLOCK = 4096
"""Vectors read and compared at once."""
KEPT_BYTES = 100 * 2**20
"""What is kept of the vectors compared last: 130,000 of 384 dimensions."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which vectors: those by one version, of the documents `within` (ids; None: of all in the collections)."""

    version: str
    collections: tuple[str, ...]
    within: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The vectors that were compared last, and the change of the store that they were read after."""

    wanted: Wanted
    change: int
    blocks: Sequence[Block]


class Comparison:
    """Compares questions with the vectors in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_at_a_time = anyio.Lock()
        self._kept: Kept | None = None

    async def nearest(
        self,
        vectors: Vectors,
        version: str,
        limit: int,
        *,
        collections: Sequence[str] = (),
        within: Sequence[str] | None = None,
    ) -> list[list[Scored]]:
        """For each vector the nearest chunks of the documents `within` (ids; None: of all in the collections)."""
        wanted = Wanted(
            version, tuple(collections), None if within is None else tuple(sorted(within))
        )

        def compare() -> list[list[Scored]]:
            best = Best(len(vectors), limit)
            for ids, block in self._blocks(wanted):
                # not by @: for blocks as small as these the threads of its library wait longer than they work
                best.add(ids, np.einsum("qd,nd->qn", vectors, block.astype(np.float32)))
            return best.scored()

        async with self._one_at_a_time:
            return await run_sync(compare)

    def _blocks(self, wanted: Wanted) -> Iterator[Block]:
        change = (
            self._store.changes.last()
        )  # before reading: what comes meanwhile is read next time
        if self._kept and (self._kept.wanted, self._kept.change) == (wanted, change):
            yield from self._kept.blocks
            return
        self._kept = None
        blocks: list[Block] = []
        room = KEPT_BYTES
        for block in self._store.vectors.blocks(
            wanted.version, BLOCK, collections=wanted.collections, within=wanted.within
        ):
            room -= block[1].nbytes
            if room >= 0:
                blocks.append(block)
            else:
                blocks.clear()
            yield block
        if room >= 0:
            self._kept = Kept(wanted, change, blocks)


class Best:
    """The best chunks so far, a row a question."""

    def __init__(self, questions: int, limit: int) -> None:
        self._limit = limit
        self._ids: npt.NDArray[np.int64] = np.empty((questions, 0), dtype=np.int64)
        self._scores: npt.NDArray[np.float32] = np.empty((questions, 0), dtype=np.float32)

    def add(self, ids: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> None:
        """Take a block in: ids of shape (n,), scores of shape (questions, n)."""
        every = np.concatenate([self._scores, scores], axis=1)
        known = np.concatenate([self._ids, np.broadcast_to(ids, scores.shape)], axis=1)
        if every.shape[1] > self._limit:
            kept = np.argpartition(-every, self._limit - 1, axis=1)[:, : self._limit]
            every = np.take_along_axis(every, kept, axis=1)
            known = np.take_along_axis(known, kept, axis=1)
        self._ids, self._scores = known, every

    def scored(self) -> list[list[Scored]]:
        """Best first."""
        order = np.argsort(-self._scores, axis=1, kind="stable")
        return [
            [Scored(int(ids[at]), float(scores[at])) for at in row]
            for ids, scores, row in zip(self._ids, self._scores, order, strict=True)
        ]
