"""The receipt's prompt tokens against the server's own count of the same conversation."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from api.index.embeddings import Embedder
from api.runtime import ExistingModel, Message, ModelRef, ModelRuntime, Options, Persona, Piece
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.store import Store
from tests.contracts.ollama_server import ollama_runtime
from tests.databases import open_migrated
from tests.rag.conftest import ASKED, HANDBOOK, Library

pytestmark = [pytest.mark.anyio, pytest.mark.real]
CONVERSATION = (
    *ASKED,
    Message("assistant", "It is 24 months [1]."),
    Message("user", "And how much does the heater weigh, in kg?"),
)
CASES = (
    ("demo", ASKED, ("*",)),
    ("demo", CONVERSATION, ("*",)),
    ("ada", CONVERSATION, ("*",)),
    ("ada", CONVERSATION, ()),
)
"""Over documents, in a conversation, with a persona, and plain."""


class Recorded:
    """A runtime that remembers what it was last asked."""

    def __init__(self, runtime: ModelRuntime) -> None:
        self.runtime = runtime
        self.sent: Sequence[Message] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runtime, name)

    def chat(
        self, model: ModelRef, messages: Sequence[Message], options: Options, **more: Any
    ) -> AsyncGenerator[Piece, None]:
        """As the runtime does."""
        self.sent = messages
        return self.runtime.chat(model, messages, options, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


async def library_over(runtime: Recorded, store: Store, folder: Path) -> Library:
    library = Library(store, cast(Any, runtime), folder / "lexical")
    library.index.embedder = Embedder(cast(ModelRuntime, runtime), "embedder")
    persona = Persona(system="You are Ada, the assistant of a shop for heaters.")
    await runtime.create_model("ada", ExistingModel("demo"), persona)
    await library.add("handbook.pdf", HANDBOOK)
    await library.add("for ada.pdf", HANDBOOK, model="ada")
    return library


async def test_llama_cpp_counts_what_the_receipt_says(
    registry_of_two: Callable[[Path], None],
    store: Store,
    tmp_path: Path,
) -> None:
    registry_of_two(tmp_path / "models")
    children = Children(Limits(threads=1), most=4, idle_seconds=60)
    runtime = Recorded(LlamaCppRuntime(Registry(tmp_path / "models"), children))
    library = await library_over(runtime, store, tmp_path)
    for model, messages, documents in CASES:
        receipt = (await library.ask(messages, documents, model=model)).receipt
        counted = await runtime.count_tokens(model, runtime.sent)
        assert receipt.tokens.exact
        assert (counted.number, counted.exact) == (receipt.tokens.prompt, True)
    library.index.close()
    await runtime.close()


async def test_ollama_counts_what_the_receipt_says(
    ollama_double: str,
    store: Store,
    tmp_path: Path,
) -> None:
    runtime = Recorded(ollama_runtime(ollama_double))
    library = await library_over(runtime, store, tmp_path)
    async with httpx2.AsyncClient(base_url=ollama_double, timeout=60) as client:
        for model, messages, documents in CASES:
            receipt = (await library.ask(messages, documents, model=model)).receipt
            body = {
                "model": model,
                "messages": [{"role": one.role, "content": one.content} for one in runtime.sent],
                "stream": False,
                "options": {"num_predict": 1, "num_ctx": receipt.tokens.context},
            }
            counted = (await client.post("/api/chat", json=body)).json()["prompt_eval_count"]
            assert receipt.tokens.prompt == counted
    await runtime.delete_model("ada")
    library.index.close()
    await runtime.close()
