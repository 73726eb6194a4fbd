"""Nearest by meaning, compared in the database: exact, in bounded memory, one search at a time."""

from collections.abc import Sequence

import anyio
import numpy as np
import numpy.typing as npt
from anyio.to_thread import run_sync

from api.index.embeddings import Vectors
from api.index.values import Scored
from api.store import Store

BLOCK = 4096
"""Vectors read and compared at once."""


class Comparison:
    """Compares questions with the vectors in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_at_a_time = anyio.Lock()

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

        def compare() -> list[list[Scored]]:
            best = Best(len(vectors), limit)
            blocks = self._store.vectors.blocks(
                version, BLOCK, collections=collections, within=within
            )
            for ids, block in blocks:
                best.add(ids, vectors @ block.astype(np.float32).T)
            return best.scored()

        async with self._one_at_a_time:
            return await run_sync(compare)


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
