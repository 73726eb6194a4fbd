"""A small library in a store, indexed without any PDF."""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.index.values import Wanted
from api.index.vector_store import VectorStore
from api.store import Store
from api.store.chunks import Chunk
from api.store.collections import Scope
from api.store.contents import Extracted, Page
from api.store.documents import Document
from tests.databases import open_migrated
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

EMBEDDING_MODEL = "all-minilm-l6-v2-int8"


@dataclass
class Library:
    """Store and index over a folder that outlives them."""

    folder: Path
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    vectors: VectorStore = field(default_factory=MemoryVectors)

    def open(self, *, vectors_behind: bool = False) -> "Library":
        """Open everything, as at a start."""
        self.store: Store = open_migrated(self.folder / "state.sqlite3")
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
        collection = self.store.collections.of_model(model)
        document = documents.add(name, collection, digest, 1, EMBEDDING_MODEL).document
        pages = [Page(number, text) for number, text in enumerate(texts, start=1)]
        self.store.contents.set_pages(document.content_id, Extracted("", tuple(pages)))
        chunks = [
            Chunk(page.number - 1, page.number, heading, page.text, len(page.text.split()))
            for page in pages
        ]
        await self.index.put(document, chunks, self.embedder)
        await self.index.place(document, self.embedder)
        if ready:
            document = documents.mark_ready(document.id)
            await self.index.catch_up()
        return document

    async def found(
        self, query: str, documents: list[Document] | None = None, model: str = "demo"
    ) -> tuple[list[str], list[str]]:
        """The texts of the candidates, by meaning and by words."""
        scope = self.scope(model)
        (candidates,) = await self.index.candidates(scope, [Wanted(query)], documents, 10)
        texts = self.store.chunks.found(self.store.chunks.ready(), scope.ids)
        return (
            [texts[hit.chunk_id].text for hit in candidates.dense],
            [texts[hit.chunk_id].text for hit in candidates.lexical],
        )

    def scope(self, model: str = "demo") -> Scope:
        """Where a model looks."""
        return self.store.collections.scope_of(model)

    def vector_ids(self) -> set[int]:
        """All chunks in the vector store."""
        return {id for one in self.vectors.sets() for id in self.vectors.ids(one)}

    def close(self) -> None:
        """Close everything, as at a stop."""
        self.index.close()
        self.store.close()
