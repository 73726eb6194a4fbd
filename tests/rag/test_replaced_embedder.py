"""Other weights under the embedding model's name in Ollama, pulled there by somebody else: no two kinds of vectors
stand under one version. Runs over the double.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from api.errors import EmbeddingMismatch
from api.index.embeddings import Embedder
from api.runtime import GGUFFile, Persona
from api.store.chunks import Chunk
from api.store.contents import Extracted, Page
from tests.contracts.ollama_server import ollama_runtime
from tests.databases import open_migrated
from tests.rag.conftest import HANDBOOK, Library

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
async def library(ollama_double: str, tmp_path: Path) -> AsyncIterator[Library]:
    """Over Ollama, with the handbook in the collection of `demo`."""
    runtime = ollama_runtime(ollama_double)
    store = open_migrated(tmp_path / "state.sqlite3")
    library = Library(store, cast(Any, runtime), tmp_path / "lexical")
    library.index.embedder = Embedder(runtime, "embedder")
    await library.add("handbook.pdf", HANDBOOK)
    yield library
    library.index.close()
    store.close()
    await runtime.close()


@pytest.fixture
def replace_weights(
    ollama_double: str, embedding_gguf: Path, tmp_path: Path
) -> Callable[[], Awaitable[None]]:
    """Makes the embedding model anew, of a file with another last byte."""

    async def replace() -> None:
        content = embedding_gguf.read_bytes()
        other = tmp_path / "other.gguf"
        other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        somebody = ollama_runtime(ollama_double)
        await somebody.create_model("embedder", GGUFFile(other), Persona(), replace=True)
        await somebody.close()

    return replace


async def test_a_search_in_a_collection_notices_it(
    library: Library, replace_weights: Callable[[], Awaitable[None]]
) -> None:
    async def search() -> None:
        await library.answers().search(
            None, "warranty", ["*"], 3, rephrase=False, collection="demo"
        )

    await search()
    await replace_weights()
    with pytest.raises(EmbeddingMismatch, match=r"handbook\.pdf"):
        await search()


async def test_the_next_import_notices_it(
    library: Library, replace_weights: Callable[[], Awaitable[None]]
) -> None:
    await replace_weights()
    await library.add("more.pdf", HANDBOOK[:1])
    assert len(set(library.store.documents.embedders())) == 2


async def test_an_import_that_is_at_work_notices_it_and_ends_with_one_kind_of_vectors(
    library: Library, replace_weights: Callable[[], Awaitable[None]]
) -> None:
    store, index, embedder = library.store, library.index, library.index.embedder
    collection = store.collections.of_model("demo")
    document = store.documents.add("long.pdf", collection, "hash", 1, embedder.model).document
    pages = [Page(n, text) for n, text in enumerate(HANDBOOK, 1)]
    store.contents.set_pages(document.content_id, Extracted("", tuple(pages)))
    chunks = [Chunk(n, n + 1, "", text, 20) for n, text in enumerate(HANDBOOK)]
    await index.put(document, chunks[:1], embedder)
    await replace_weights()
    await index.put(document, chunks[1:], embedder)
    await index.place(document, embedder)
    assert len(store.documents.embedders()) == 2
    version = await embedder.version()
    assert store.documents.mark_ready(document.id).embedder == version
    assert not store.vectors.lacking(document.content_id, version)
