"""A house of documents: store, index, importer and deleter over a folder that outlives it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.documents.deleting import Deleter
from api.documents.extract import Bounds
from api.documents.files import Files
from api.documents.importing import Importer
from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.index.vector_store import VectorStore
from api.index.vectors import open_embedded
from api.opening import open_folders
from api.settings import Settings
from api.store import Store, open_store
from api.store.documents import Document
from tests.documents.pdfs import received
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

BOUNDS = Bounds(pages=50, characters=200_000, seconds=20, memory_bytes=512 * 2**20)


@dataclass
class House:
    """What imports and deletes documents, with vectors in memory or, when `embedded`, in real Chroma."""

    folder: Path
    embedded: bool = False
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    vectors: VectorStore = field(default_factory=MemoryVectors)

    def open(self, store: Store | None = None) -> "House":
        """Open everything, as at a start; over a store that is open already, when given."""
        self.store: Store = store or open_store(self.folder / "state.sqlite3")
        self.lexical = LexicalIndex(self.folder / "lexical")
        if self.embedded:
            self.vectors = open_embedded(self.folder / "chroma")
        embedder = Embedder(self.runtime, "all-minilm-l6-v2")
        self.index = Index(self.store, self.vectors, self.lexical, embedder)
        self.folders = open_folders(Settings(data_dir=self.folder), self.store)
        self.files = Files(self.folders.documents)
        self.importer = Importer(
            self.store, self.index, self.files, BOUNDS, chunk_tokens=60, overlap_tokens=8
        )
        self.deleter = Deleter(self.store, self.index, self.importer)
        return self

    async def close(self) -> None:
        """Close everything, as at a stop."""
        await self.deleter.close()
        await self.importer.close()
        self.index.close()
        self.store.close()

    async def bring(
        self, content: bytes, name: str = "a.pdf", model: str = "demo", **options: Any
    ) -> tuple[Document, bool]:
        """Import bytes."""
        upload = received(self.folder / "uploads", content)
        return await self.importer.import_document(name=name, model=model, **upload, **options)

    async def ended(self, document: Document) -> Document:
        """The document when its import has ended, well or not."""
        while (now := self.store.documents.get(document.id)).status == "importing":
            await asyncio.sleep(0.01)
        return now

    def vector_ids(self) -> set[int]:
        """All chunks in the vector store."""
        return {id for one in self.vectors.collections() for id in self.vectors.ids(one)}

    def is_whole(self) -> bool:
        """Whether vectors, words, chunks and files tell the same."""
        documents = {one.id for one in self.store.documents.all() if one.status != "failed"}
        chunks = self.store.index_source.ready_chunk_ids()
        return self.vector_ids() == self.lexical.ids() == chunks and documents == self.kept()

    def kept(self) -> set[str]:
        """The ids of all files that are kept."""
        return {path.stem for path in (self.folder / "documents").glob("*.pdf")}

    def is_empty(self) -> bool:
        """Whether no trace of any document is left."""
        uploads = list((self.folder / "uploads").iterdir())
        left = (self.store.documents.all(), self.vector_ids(), self.lexical.ids(), self.kept())
        return not any((uploads, *left))
