"""How alike the chunks of a library are: what a cosine similarity there is measured against.

In a library about one thing everything is like everything, and like many a question that it does not answer.
"""

from collections.abc import Sequence

import numpy as np

from api.store import Store

SAMPLE = 256
"""Vectors that stand for all of a library."""
USUAL, WEIGHT = 0.3, 8
"""What a library of a chunk or two is taken for, and for how many chunks that counts."""
REMEMBERED = 64


class Likeness:
    """The mean cosine similarity of two chunks, measured on a sample and remembered until documents come or go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = 0
        self._known: dict[tuple[object, ...], float] = {}

    def of(self, version: str, collections: Sequence[str], within: Sequence[str] | None) -> float:
        """Of the ready documents `within` (ids), or of all in the collections; blocks its thread."""
        if (last := self._store.changes.last()) != self._last or len(self._known) >= REMEMBERED:
            self._known, self._last = {}, last
        where = (version, tuple(collections), within if within is None else tuple(within))
        if where not in self._known:
            sample = self._store.vectors.sample(
                version, SAMPLE, collections=collections, within=within
            )
            self._known[where] = mean_cosine(sample.astype(np.float32))
        return self._known[where]


def mean_cosine(rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """Of two different rows, drawn to the usual the fewer there are."""
    n = len(rows)
    if n < 2:
        return USUAL
    length = float(np.square(rows.sum(axis=0)).sum())
    mean = (length - n) / (n * (n - 1))
    return (n * mean + WEIGHT * USUAL) / (n + WEIGHT)
