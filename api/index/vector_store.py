"""VectorStore: what keeps vectors, as the index sees it. One contract suite runs over every implementation."""

from collections.abc import Sequence
from typing import Protocol

from api.index.embeddings import Vectors
from api.index.values import Scored, VectorSet


class VectorStore(Protocol):
    """Keeps vectors and finds the nearest. Synchronous: called from worker threads, one writer at a time.

    Raises `errors.EmbeddingMismatch` for a wrong dimension, `errors.Unavailable` when it is away or has lost what it
    had, and `errors.BackEndFailed`.
    """

    def put(self, where: VectorSet, ids: Sequence[int], vectors: Vectors) -> None:
        """Keep vectors; an id that is there keeps what it has: what an id stands for never changes."""
        ...

    def query(self, where: VectorSet, vectors: Vectors, limit: int) -> list[list[Scored]]:
        """For each vector the nearest by cosine, best first; an unknown set is empty."""
        ...

    def delete(self, where: VectorSet, ids: Sequence[int]) -> None:
        """Take vectors out; unknown ids and sets are no error."""
        ...

    def drop(self, where: VectorSet) -> None:
        """Take a whole set out; an unknown one is no error."""
        ...

    def ids(self, where: VectorSet) -> set[int]:
        """Everything that is in a set."""
        ...

    def sets(self) -> set[VectorSet]:
        """Every set there is."""
        ...

    def check(self) -> None:
        """Raise when it cannot serve."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
