"""A library of documents over the fake runtime: real store and words, vectors in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.rag.answer import Answering, Limits
from api.store import Store, open_store
from api.store.documents import Chunk, Document, Page
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

HANDBOOK = (
    "The Vanta heater has a warranty of 24 months.\nIt weighs 12 kg.",
    "The Orlo lamp has a warranty of 36 months.\nIt is sold in three colours.",
    "Parking at the office costs 30 euros a year.\nVisitors park for free.",
)
LIMITS = Limits(
    expansions=2, passages=3, dense_weight=0.5, max_answer_tokens=64, context_length=4096
)


class Library:
    """Documents that are ready to be searched."""

    def __init__(self, store: Store, runtime: FakeRuntime, folder: Path) -> None:
        self.store = store
        self.runtime = runtime
        self.index = Index(
            store,
            MemoryVectors(),
            LexicalIndex(folder),
            Embedder(runtime, "all-minilm-l6-v2"),
        )

    def serve_with(self, runtime: FakeRuntime) -> None:
        """Answer with another runtime from now on."""
        self.runtime = runtime
        self.index.embedder = Embedder(runtime, "all-minilm-l6-v2")

    async def add(self, name: str, pages: Sequence[str], model: str = "demo") -> Document:
        """A document of one chunk a page."""
        documents = self.store.documents
        document, _ = documents.add(name, model, f"hash of {name}", 1)
        documents.set_pages(document.id, [Page(n, text) for n, text in enumerate(pages, 1)], "", [])
        chunks = [Chunk(n, n + 1, "", text, 20) for n, text in enumerate(pages)]
        await self.index.put(document, chunks, pages_done=len(pages))
        document = documents.mark_ready(document.id)
        await self.index.catch_up()
        return document

    def answering(self, **limits: float) -> Answering:
        """What answers from it."""
        chosen = {name: getattr(LIMITS, name) for name in LIMITS.__slots__} | limits
        return Answering(self.runtime, self.store, self.index, Limits(**chosen))


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def library(tmp_path: Path, runtime: FakeRuntime) -> Iterator[Library]:
    store = open_store(tmp_path / "state.sqlite3")
    library = Library(store, runtime, tmp_path / "lexical")
    yield library
    library.index.close()
    store.close()
