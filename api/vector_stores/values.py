"""What is told of vector stores, of what is found in them, and of batches of files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from api.errors import Unusable
from api.rag.retrieve import Hit
from api.store.collection_cards import Card
from api.store.collection_files import Batch, CollectionFile, FileStatus
from api.store.collections import Collection

STATUSES: tuple[FileStatus, ...] = ("in_progress", "completed", "failed", "cancelled")
Counts = Mapping[FileStatus, int]
"""How many files are in which state."""


@dataclass(frozen=True, slots=True)
class VectorStore:
    """A collection, what is noted of it and how its files fare; `usage_bytes` are those of what can be searched."""

    collection: Collection
    card: Card
    counts: Counts
    usage_bytes: int
    is_expired: bool

    @property
    def status(self) -> Literal["in_progress", "completed", "expired"]:
        """Whether files are on their way, or nobody has used it for as long as it lives."""
        if self.is_expired:
            return "expired"
        return "in_progress" if self.counts.get("in_progress") else "completed"

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.collection.created_at)


@dataclass(frozen=True, slots=True)
class FileBatch:
    """Files that came together, and how they fare now."""

    batch: Batch
    counts: Counts

    @property
    def status(self) -> Literal["in_progress", "completed", "failed", "cancelled"]:
        """It has failed where none of its files has come."""
        if self.batch.is_cancelled:
            return "cancelled"
        if self.counts.get("in_progress"):
            return "in_progress"
        is_in_vain = self.counts.get("failed") and not self.counts.get("completed")
        return "failed" if is_in_vain else "completed"


class Passage(NamedTuple):
    """A passage, and the file that it was found in."""

    hit: Hit
    file: CollectionFile


class Found(NamedTuple):
    """The best passages, and what was searched for them."""

    passages: list[Passage]
    queries: tuple[str, ...]


def require_alive(collection: Collection, card: Card) -> None:
    """`errors.Unusable` where a store has expired."""
    if card.is_expired(datetime.now(UTC)):
        raise Unusable(
            f"The vector store {collection.id!r} has expired: nobody has used it for {card.expires_after_days} days. "
            "Its documents are deleted within minutes; until then another `expires_after` brings it back.",
            code="vector_store_expired",
            where="vector_store_id",
        )
