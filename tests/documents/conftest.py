"""A house of documents: store, index, importer and deleter over a folder, with vectors in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api.documents.deleting import Deleter
from api.documents.extract import Bounds
from api.documents.files import Files
from api.documents.importing import Importer
from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.store import Store, open_store
from api.store.documents import Document
from tests.documents.pdfs import received
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

BOUNDS = Bounds(pages=50, characters=200_000, seconds=20, memory_bytes=512 * 2**20)


@dataclass
class House:
    """What imports and deletes documents; `folder` outlives it."""

    folder: Path
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    vectors: MemoryVectors = field(default_factory=MemoryVectors)

    def open(self) -> "House":
        """Open everything, as at a start."""
        self.store: Store = open_store(self.folder / "state.sqlite3")
        self.lexical = LexicalIndex(self.folder / "lexical")
        embedder = Embedder(self.runtime, "all-minilm-l6-v2")
        self.index = Index(self.store, self.vectors, self.lexical, embedder)
        self.files = Files(self.folder / "documents")
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
        return {one for kept in self.vectors.kept.values() for one in kept}

    def is_empty(self) -> bool:
        """Whether no trace of any document is left."""
        return not (
            self.store.documents.all()
            or self.vector_ids()
            or self.lexical.ids()
            or self.files.all()
            or list((self.folder / "uploads").iterdir())
        )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house that is open."""
    house = House(tmp_path).open()
    yield house
    await house.close()
