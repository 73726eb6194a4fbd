"""VectorStore: what keeps vectors, as the index sees it. One contract suite runs over every implementation."""

from collections.abc import Sequence
from typing import Protocol

from api.index.embeddings import Vectors
from api.index.values import Collection, Scored


class VectorStore(Protocol):
    """Keeps vectors and finds the nearest. Synchronous: called from worker threads, one writer at a time.

    Raises `errors.EmbeddingMismatch` for a wrong dimension, `errors.Unavailable` when it is away or has lost what it
    had, and `errors.BackEndFailed`.
    """

    def put(self, collection: Collection, ids: Sequence[int], vectors: Vectors) -> None:
        """Keep vectors in place of earlier ones of the same ids."""
        ...

    def query(self, collection: Collection, vectors: Vectors, limit: int) -> list[list[Scored]]:
        """For each vector the nearest by cosine, best first; an unknown collection is empty."""
        ...

    def delete(self, collection: Collection, ids: Sequence[int]) -> None:
        """Take vectors out; unknown ids and collections are no error."""
        ...

    def drop(self, collection: Collection) -> None:
        """Take a whole collection out; an unknown one is no error."""
        ...

    def ids(self, collection: Collection) -> set[int]:
        """Everything that is in a collection."""
        ...

    def collections(self) -> set[Collection]:
        """Every collection there is."""
        ...

    def check(self) -> None:
        """Raise when it cannot serve."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
