"""A small, exact VectorStore in memory, and one that fails when a test says so."""

from collections.abc import Sequence

import numpy as np

from api.errors import EmbeddingMismatch
from api.index.embeddings import Vectors
from api.index.values import Scored, VectorSet


class MemoryVectors:
    """`VectorStore` in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[VectorSet, dict[int, Vectors]] = {}

    def put(self, where: VectorSet, ids: Sequence[int], vectors: Vectors) -> None:
        """Keep vectors; an id that is there keeps what it has."""
        kept = self.kept.setdefault(where, {})
        for one, vector in zip(ids, vectors, strict=True):
            self._require_dimension(kept, vector)
            kept.setdefault(one, vector)

    def query(self, where: VectorSet, vectors: Vectors, limit: int) -> list[list[Scored]]:
        """For each vector the nearest by cosine, best first."""
        kept = self.kept.get(where, {})
        answer = []
        for vector in vectors:
            self._require_dimension(kept, vector)
            scored = [Scored(one, _cosine(vector, other)) for one, other in list(kept.items())]
            answer.append(sorted(scored, key=lambda hit: -hit.score)[:limit])
        return answer

    def delete(self, where: VectorSet, ids: Sequence[int]) -> None:
        """Take vectors out."""
        for one in ids:
            self.kept.get(where, {}).pop(one, None)

    def drop(self, where: VectorSet) -> None:
        """Take a whole set out."""
        self.kept.pop(where, None)

    def ids(self, where: VectorSet) -> set[int]:
        """Everything that is in a set."""
        return set(self.kept.get(where, {}))

    def sets(self) -> set[VectorSet]:
        """Every set there is."""
        return set(self.kept)

    def check(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to give back."""

    @staticmethod
    def _require_dimension(kept: dict[int, Vectors], vector: Vectors) -> None:
        if any(len(other) != len(vector) for other in kept.values()):
            raise EmbeddingMismatch("The dimension differs.")


class FailingVectors(MemoryVectors):
    """Fails at everything but the check while there is an `error`."""

    error: Exception | None = None

    @property
    def kept(self) -> dict[VectorSet, dict[int, Vectors]]:
        """What it has, if it can be reached."""
        if self.error is not None:
            raise self.error
        return self._kept

    @kept.setter
    def kept(self, kept: dict[VectorSet, dict[int, Vectors]]) -> None:
        self._kept = kept


def _cosine(one: Vectors, other: Vectors) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
