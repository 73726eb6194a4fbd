"""What a user would have instead: recipes of their own chunks, compared in memory."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tantivy

from retrieval_bench.embedder import KnownEmbedder
from retrieval_bench.libraries import Document, Library, Place

ORIGINAL_CHARACTERS, ORIGINAL_NEAREST = 7_500, 4
TOKENS, BEST = 240, 100

Split = Callable[[Document, KnownEmbedder], Iterator[tuple[int, str]]]


def of_characters(size: int, overlap: int) -> Split:
    """LangChain's usual splitter (`pip install langchain-text-splitters`)."""

    def split(document: Document, _: KnownEmbedder) -> Iterator[tuple[int, str]]:
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=overlap)
        for page in document.pages:
            for text in splitter.split_text(page.text):
                yield page.number, text

    return split


def at_line_ends(document: Document, embedder: KnownEmbedder) -> Iterator[tuple[int, str]]:
    """Whole lines of a page, as many as 240 tokens hold."""
    for page in document.pages:
        lines = [part for line in page.text.split("\n") for part in _short(line.strip()) if part]
        chunk: list[str] = []
        tokens = 0
        for line, count in zip(lines, embedder.counts(lines), strict=True):
            if chunk and tokens + count > TOKENS:
                yield page.number, "\n".join(chunk)
                chunk, tokens = [], 0
            chunk.append(line)
            tokens += count
        if chunk:
            yield page.number, "\n".join(chunk)


def _short(line: str) -> list[str]:
    return re.findall(r".{1,800}(?:\s|$)|.{800}", line)


@dataclass(frozen=True)
class Chunks:
    """Chunks of a library with their pages."""

    places: list[Place]
    texts: list[str]

    @classmethod
    def of(cls, library: Library, split: Split, embedder: KnownEmbedder) -> "Chunks":
        """Cut all documents."""
        found = [
            ((name, page), text)
            for name, document in library.documents.items()
            for page, text in split(document, embedder)
        ]
        return cls([place for place, _ in found], [text for _, text in found])

    @property
    def megabytes(self) -> float:
        """Their texts."""
        return sum(len(text.encode()) for text in self.texts) / 1e6


class Nearest:
    """The nearest chunks by meaning."""

    def __init__(self, chunks: Chunks, embedder: KnownEmbedder, most: int = BEST) -> None:
        self._chunks, self._embedder, self._most = chunks, embedder, most
        self._vectors = embedder.passages(chunks.texts)
        self.megabytes = chunks.megabytes + self._vectors.nbytes / 1e6

    def scores(self, question: str) -> dict[int, float]:
        """The best by chunk."""
        scores = self._vectors @ self._embedder.queries([question])[0]
        best = np.argsort(-scores, kind="stable")[: self._most]
        return {int(at): float(scores[at]) for at in best}

    def pages(self, question: str) -> list[Place]:
        """The pages of the best chunks, each once."""
        return list(dict.fromkeys(self._chunks.places[at] for at in self.scores(question)))


class Hybrid:
    """The plainest hybrid: the best 100 by meaning and by words, min-max normalised and added by halves."""

    def __init__(self, chunks: Chunks, embedder: KnownEmbedder) -> None:
        self._chunks = chunks
        self._nearest = Nearest(chunks, embedder)
        schema = tantivy.SchemaBuilder().add_integer_field("at", fast=True)
        self._schema = schema.add_text_field("text", tokenizer_name="en_stem").build()
        self._folder = tempfile.TemporaryDirectory()
        self._index = tantivy.Index(self._schema, path=self._folder.name)
        writer = self._index.writer(50_000_000, num_threads=1)
        for at, text in enumerate(chunks.texts):
            writer.add_document(tantivy.Document(at=at, text=text))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        kept = Path(self._folder.name).rglob("*")
        self.megabytes = self._nearest.megabytes + sum(one.stat().st_size for one in kept) / 1e6

    def pages(self, question: str) -> list[Place]:
        """The pages of the best chunks, each once."""
        order = added([self._nearest.scores(question), self._words(question)])
        return list(dict.fromkeys(self._chunks.places[at] for at in order))

    def _words(self, question: str) -> dict[int, float]:
        words = " ".join(re.findall(r"\w+", question.lower()))
        query = self._index.parse_query(words, ["text"])
        searcher = self._index.searcher()
        hits = searcher.search(query, BEST, count=False).hits
        found = searcher.fast_field_values("at", [address for _, address in hits])
        return {
            int(at): score for at, (score, _) in zip(found, hits, strict=True) if at is not None
        }


def added(sides: Sequence[Mapping[int, float]]) -> list[int]:
    """The chunks of all sides, best first: each side min-max normalised, and added."""
    scores: dict[int, float] = {}
    for side in filter(None, sides):
        low, high = min(side.values()), max(side.values())
        for at, score in side.items():
            scores[at] = scores.get(at, 0) + (score - low) / ((high - low) or 1)
    return sorted(scores, key=lambda at: (-scores[at], at))


def others(
    library: Library, embedder: KnownEmbedder, wanted: Sequence[str]
) -> Iterator[tuple[str, Nearest | Hybrid]]:
    """Each recipe by its name."""
    if "original" in wanted:
        split = of_characters(ORIGINAL_CHARACTERS, 0)
        yield "original's", Nearest(Chunks.of(library, split, embedder), embedder, ORIGINAL_NEAREST)
    if "langchain" in wanted:
        split = of_characters(1_000, 200)
        yield "LangChain's usual", Nearest(Chunks.of(library, split, embedder), embedder)
    if "hybrid" in wanted:
        yield "plain hybrid", Hybrid(Chunks.of(library, at_line_ends, embedder), embedder)
