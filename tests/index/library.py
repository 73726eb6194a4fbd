"""A small library in a store, indexed without any PDF."""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.index.vector_store import VectorStore
from api.store import Store, open_store
from api.store.documents import Chunk, Document, Page
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

EMBEDDING_MODEL = "all-minilm-l6-v2"


@dataclass
class Library:
    """Store and index over a folder that outlives them."""

    folder: Path
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    vectors: VectorStore = field(default_factory=MemoryVectors)

    def open(self, *, vectors_behind: bool = False) -> "Library":
        """Open everything, as at a start."""
        self.store: Store = open_store(self.folder / "state.sqlite3")
        self.lexical = LexicalIndex(self.folder / "lexical")
        self.embedder = Embedder(self.runtime, EMBEDDING_MODEL)
        self.index = Index(
            self.store, self.vectors, self.lexical, self.embedder, vectors_behind=vectors_behind
        )
        return self

    async def add(
        self, name: str, *texts: str, model: str = "demo", heading: str = "", ready: bool = True
    ) -> Document:
        """A document with one chunk a page."""
        documents = self.store.documents
        digest = sha256(name.encode()).hexdigest()
        document, _ = documents.add(name, model, digest, 1)
        pages = [Page(number, text) for number, text in enumerate(texts, start=1)]
        documents.set_pages(document.id, pages, "", [])
        chunks = [
            Chunk(page.number - 1, page.number, heading, page.text, len(page.text.split()))
            for page in pages
        ]
        await self.index.put(document, chunks, pages_done=len(pages))
        if ready:
            document = documents.mark_ready(document.id)
            await self.index.catch_up()
        return document

    async def found(
        self, query: str, documents: list[Document] | None = None, model: str = "demo"
    ) -> tuple[list[str], list[str]]:
        """The texts of the candidates, by meaning and by words."""
        (candidates,) = await self.index.candidates(model, [query], documents, 10)
        texts = self.store.documents.chunks(self.store.index_source.ready_chunk_ids())
        return (
            [texts[hit.chunk_id].text for hit in candidates.dense],
            [texts[hit.chunk_id].text for hit in candidates.lexical],
        )

    def vector_ids(self) -> set[int]:
        """All chunks in the vector store."""
        return {id for one in self.vectors.collections() for id in self.vectors.ids(one)}

    def close(self) -> None:
        """Close everything, as at a stop."""
        self.index.close()
        self.store.close()
