"""The values the index speaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from api.store.chunks import StoredChunk


class Scored(NamedTuple):
    """A chunk and how well it fits a query: cosine similarity when dense, BM25 when lexical.

    `coverage` (lexical): the share of the query's words that the chunk holds, each by how much it tells: 0 to 1.
    """

    chunk_id: int
    score: float
    coverage: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for: a query, and words that go with it and count less (none: the query alone)."""

    query: str
    related: str = ""


RELATED = 0.4
"""What related words count against the query's own, by meaning and by words (docs/retrieval.md)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best chunks for one query by meaning and by words, best first. `likeness` is how alike the chunks that were
    searched are among themselves: what the similarities by meaning are measured against. `chunks` are those of all
    queries, by id, as they were read to see that they can be found.
    """

    query: str
    dense: tuple[Scored, ...]
    lexical: tuple[Scored, ...]
    likeness: float = 0.0
    chunks: Mapping[int, StoredChunk] = field(default_factory=dict, repr=False, compare=False)


def candidates_among(
    chunks: Mapping[int, StoredChunk],
    wanted: Sequence[Wanted],
    dense: Sequence[Sequence[Scored]],
    lexical: Sequence[Sequence[Scored]],
    likeness: float,
) -> list[Candidates]:
    """For each query what both sides found of these chunks, best first."""

    def here(found: Sequence[Scored]) -> tuple[Scored, ...]:
        return tuple(hit for hit in found if hit.chunk_id in chunks)

    return [
        Candidates(one.query, here(by_meaning), here(by_words), likeness, chunks)
        for one, by_meaning, by_words in zip(wanted, dense, lexical, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class VectorSet:
    """The vectors of one collection's documents (by its id) by one version of the embedder."""

    collection: str
    embedder: str

    @property
    def name(self) -> str:
        """A name that any vector store takes."""
        return f"v-{sha256(f'{self.collection}|{self.embedder}'.encode()).hexdigest()[:24]}"
