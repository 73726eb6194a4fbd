"""A library of documents over the fake runtime: real store and words, vectors in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from api.index import Index
from api.index.embeddings import Embedder
from api.index.lexical import LexicalIndex
from api.models.bases import BaseModels
from api.models.bundled import BundledModels
from api.models.catalog import ModelCatalog
from api.rag import Answers, Question
from api.rag.opening import open_answers
from api.rag.receipt import Answer, AnswerEvent
from api.rag.relevance import Calibration
from api.runtime import Message, Options
from api.settings import Settings
from api.store import Store
from api.store.chunks import Chunk
from api.store.collections import Scope
from api.store.contents import Extracted, Page
from api.store.documents import Document
from tests.databases import open_migrated
from tests.fakes import FakeRuntime
from tests.index.memory import MemoryVectors

HANDBOOK = (
    "The Vanta heater has a warranty of 24 months.\nIt weighs 12 kg.",
    "The Orlo lamp has a warranty of 36 months.\nIt is sold in three colours.",
    "Parking at the office costs 30 euros a year.\nVisitors park for free.",
)
LIMITS = {"expansions": 2, "passages": 3, "max_answer_tokens": 64}
ASKED = (Message("user", "What is the warranty of the Vanta heater?"),)


class Library:
    """Documents that are ready to be searched."""

    def __init__(self, store: Store, runtime: FakeRuntime, folder: Path) -> None:
        self.folder = folder
        self.store = store
        self.runtime = runtime
        self.calibrated: list[Calibration] = []
        self.index = Index(
            store,
            MemoryVectors(),
            LexicalIndex(folder),
            Embedder(runtime, "all-minilm-l6-v2-int8"),
        )

    def serve_with(self, runtime: FakeRuntime) -> None:
        """Answer with another runtime from now on."""
        self.runtime = runtime
        self.index.embedder = Embedder(runtime, "all-minilm-l6-v2-int8")

    async def add(
        self, name: str, pages: Sequence[str], model: str = "demo", language: str = ""
    ) -> Document:
        """A document of one chunk a page."""
        documents = self.store.documents
        collection = self.store.collections.of_model(model)
        embedder = self.index.embedder
        digest = f"hash of {name}"
        document = documents.add(name, collection, digest, 1, embedder.model).document
        texts = [Page(n, text) for n, text in enumerate(pages, 1)]
        self.store.contents.set_pages(
            document.content_id, Extracted("", tuple(texts), language=language)
        )
        chunks = [Chunk(n, n + 1, "", text, 20) for n, text in enumerate(pages)]
        await self.index.put(document, chunks, embedder)
        await self.index.place(document, embedder)
        document = documents.mark_ready(document.id)
        await self.index.catch_up()
        return document

    def scope(self, model: str = "demo") -> Scope:
        """Where a model looks."""
        return self.store.collections.scope_of(model)

    def answers(self, **limits: object) -> Answers:
        """What answers from it; `limits` are settings."""
        settings = Settings.model_validate({"data_dir": self.folder, **LIMITS, **limits})
        base_models = BaseModels(settings.base_models_dir, self.store.models)
        bundled = BundledModels(self.runtime, [], settings.converting_dir)
        models = ModelCatalog(self.runtime, self.store, base_models, bundled, "demo")
        return open_answers(
            settings, self.store, self.runtime, self.index, models, bundled, self.calibrated
        )

    async def question(
        self,
        messages: Sequence[Message] = ASKED,
        documents: Sequence[str] = ("*",),
        options: Options | None = None,
        model: str = "demo",
    ) -> Question:
        """What a route makes of a request."""
        found = await self.answers().model(model, over_documents=bool(documents))
        return Question(found, messages, documents, options or Options())

    async def ask(
        self,
        messages: Sequence[Message] = ASKED,
        documents: Sequence[str] = ("*",),
        options: Options | None = None,
        model: str = "demo",
        **limits: object,
    ) -> Answer:
        """One whole answer."""
        question = await self.question(messages, documents, options, model)
        return await self.answers(**limits).whole(question)

    async def events(self, documents: Sequence[str] = ("*",)) -> list[AnswerEvent]:
        """The events of one answer."""
        question = await self.question(documents=documents)
        return [event async for event in self.answers().stream(question)]


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def library(tmp_path: Path, runtime: FakeRuntime) -> Iterator[Library]:
    store = open_migrated(tmp_path / "state.sqlite3")
    library = Library(store, runtime, tmp_path / "lexical")
    yield library
    library.index.close()
    store.close()
