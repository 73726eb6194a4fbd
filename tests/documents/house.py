"""A house of documents: store, index, importer and deleter over a folder that outlives it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import current_default_thread_limiter, run_sync

from api.data_folder.contents import DOCUMENT, files_made
from api.data_folder.guarded import Guarded
from api.documents.deleting import Deleter
from api.documents.extract import Bounds
from api.documents.files import Files, Label
from api.documents.importing import Importer
from api.documents.reembedding import Reembedder
from api.index import Index
from api.index.chroma import open_embedded
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.index.vector_store import VectorStore
from api.settings import Settings
from api.store import Store
from api.store.chunks import StoredChunk
from api.store.collections import Scope
from api.store.documents import Document
from api.store.folders import open_folders
from tests.databases import open_migrated
from tests.documents.pdfs import received
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

HELD_SECONDS = 120
"""At most, so that a test that fails ends."""

BOUNDS = Bounds(pages=50, characters=200_000, seconds=20, memory_bytes=512 * 2**20)


class HeldFiles(Files):
    """Files that are put in their place only when they are let go."""

    def __init__(self, guarded: Guarded) -> None:
        super().__init__(guarded)
        self.is_held = threading.Event()
        self.is_let_go = threading.Event()

    def keep(self, file: Path, content_id: str, label: Label, kind: str = "pdf") -> None:
        """Wait, then as ever."""
        self.is_held.set()
        self.is_let_go.wait(HELD_SECONDS)
        super().keep(file, content_id, label, kind)

    async def until_all_else_waits(self) -> None:
        """Wait until a file is held, and all tasks have come as far as they can without it."""
        await run_sync(self.is_held.wait, HELD_SECONDS)
        threads = current_default_thread_limiter()
        while True:
            await anyio.wait_all_tasks_blocked()
            if threads.borrowed_tokens == 1:  # the held one
                return


@dataclass
class House:
    """What imports and deletes documents, with vectors in memory or, when `embedded`, in real Chroma."""

    folder: Path
    embedded: bool = False
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    vectors: VectorStore = field(default_factory=MemoryVectors)

    def open(self, store: Store | None = None) -> "House":
        """Open everything, as at a start; over a store that is open already, when given."""
        self.store: Store = store or open_migrated(self.folder / "state.sqlite3")
        self.lexical = LexicalIndex(self.folder / "lexical")
        if self.embedded:
            self.vectors = open_embedded(self.folder / "chroma")
        embedder = Embedder(self.runtime, "all-minilm-l6-v2-int8")
        self.index = Index(self.store, self.vectors, self.lexical, embedder)
        self.folders = open_folders(Settings.model_construct(data_dir=self.folder), self.store)
        self.files = Files(self.folders.documents)
        self.importer = Importer(
            self.store, self.index, self.files, BOUNDS, chunk_tokens=60, overlap_tokens=8
        )
        self.deleter = Deleter(self.store, self.index, self.importer)
        self.reembedder = Reembedder(self.store, self.index, self.importer)
        return self

    def hold_files(self) -> HeldFiles:
        """From now on a received file is held before it is put in its place."""
        held = HeldFiles(self.folders.documents)
        self.files = self.importer.files = held
        return held

    async def close(self) -> None:
        """Close everything, as at a stop."""
        await self.reembedder.close()
        await self.deleter.close()
        await self.importer.close()
        self.index.close()
        self.store.close()

    async def bring(
        self,
        content: bytes,
        name: str = "a.pdf",
        model: str = "demo",
        kind: str = "pdf",
        **options: Any,
    ) -> tuple[Document, bool]:
        """Import bytes."""
        upload = received(self.folder / "uploads", content, name, kind)
        collection = self.store.collections.of_model(model)
        document, is_new, _ = await self.importer.import_document(upload, collection, **options)
        return document, is_new

    def documents_of(self, model: str) -> list[Document]:
        """What the model can be asked about."""
        return self.store.documents.ready_in(self.scope(model))

    def scope(self, model: str = "demo") -> Scope:
        """Where a model looks."""
        return self.store.collections.scope_of(model)

    def found(self, chunk_ids: Iterable[int]) -> dict[int, StoredChunk]:
        """Chunks that the model `demo` finds."""
        return self.store.chunks.found(chunk_ids, self.scope().ids)

    def chunk_ids(self, document: Document) -> list[int]:
        """The chunks of a document."""
        return self.store.chunks.ids(document.content_id)

    async def ended(self, document: Document) -> Document:
        """The document when its import has ended, well or not."""
        while (now := self.store.documents.get(document.id)).status == "importing":
            await asyncio.sleep(0.01)
        return now

    def vector_ids(self) -> set[int]:
        """All chunks in the vector store."""
        return {id for one in self.vectors.sets() for id in self.vectors.ids(one)}

    def is_whole(self) -> bool:
        """Whether vectors, words, chunks and files tell the same."""
        contents = {one.content_id for one in self.store.documents.all() if one.status != "failed"}
        chunks = self.store.chunks.ready()
        vectors = Counter(id for one in self.vectors.sets() for id in self.vectors.ids(one))
        return vectors == self.lexical.counts() == chunks and contents == self.kept()

    def kept(self) -> set[str]:
        """The ids of all files that are kept."""
        return {path.stem for path in files_made(self.folder / "documents", DOCUMENT)}

    def is_empty(self) -> bool:
        """Whether no trace of any document is left."""
        uploads = list((self.folder / "uploads").iterdir())
        left = (self.store.documents.all(), self.vector_ids(), self.lexical.ids(), self.kept())
        return not any((uploads, *left))
