"""What a question costs before its answer begins: to rephrase, to embed, to count, each once."""

import logging
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from api.index.embeddings import Embedder
from api.runtime import Message, ModelRuntime, Options, Role
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.runtime.ollama import library as library_of_ollama
from api.runtime.ollama.connections import Connections
from api.store import Store
from tests.contracts.ollama_server import ollama_runtime
from tests.databases import open_migrated
from tests.rag.conftest import ASKED, HANDBOOK, Library

pytestmark = pytest.mark.anyio
BEFORE = ["show", "chat", "embed", "count_tokens"]
ROLES: tuple[Role, Role] = ("user", "assistant")
TIGHT = Options(max_tokens=600)
"""Leaves so little room that only a count can tell whether the prompt fits."""
FOLLOW_UP = (
    *ASKED,
    Message("assistant", "It is 24 months [1]."),
    Message("user", "And what of the lamp that is sold in three colours? " * 8),
)


@pytest.mark.parametrize("messages", [ASKED, FOLLOW_UP], ids=["question", "long_follow_up"])
async def test_a_question_finds_its_model_and_asks_three_times_before_its_answer(
    library: Library, messages: tuple[Message, ...]
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.calls.clear()
    await library.ask(messages)
    assert library.runtime.calls == [*BEFORE, "chat"]


async def test_plain_chat_finds_its_model_and_asks_nothing_else(library: Library) -> None:
    await library.ask(documents=[])
    assert library.runtime.calls == ["show", "chat"]


async def test_a_question_with_a_larger_context_loads_its_model_once(library: Library) -> None:
    library.runtime.loads.clear()
    await library.add("handbook.pdf", HANDBOOK)
    await library.ask(options=Options(num_ctx=4000), context_length=1000)
    assert library.runtime.loads == [("demo", 4096)]


async def test_what_does_not_fit_is_found_by_halves(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    turns = [Message(role, f"{n} " * 20) for n in range(64) for role in ROLES]
    library.runtime.calls.clear()
    answer = await library.ask([*turns, *ASKED], context_length=1024)
    assert 0 < answer.receipt.turns_left_out < len(turns)
    steps = len(turns) / 2 + len(answer.receipt.passages)
    assert 1 < library.runtime.calls.count("count_tokens") <= 2 + math.log2(steps)


# Over what goes through the wire


@pytest.fixture
def asked(caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """Tells what has been sent since it was last asked, by the clients' own log."""
    for client in ("httpx", "httpx2"):
        caplog.set_level(logging.INFO, client)

    def sent(address: str = r"http://[\d.:]+") -> list[str]:
        lines = [record.getMessage() for record in caplog.records if "httpx" in record.name]
        caplog.clear()
        return [found[1] for line in lines if (found := re.search(rf"{address}(/\S*)", line))]

    return sent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


async def library_over(runtime: ModelRuntime, store: Store, folder: Path) -> Library:
    """The handbook, and both models loaded."""
    library = Library(store, cast(Any, runtime), folder / "lexical")
    library.index.embedder = Embedder(runtime, "embedder")
    await library.add("handbook.pdf", HANDBOOK)
    await library.ask()
    return library


@pytest.mark.real
async def test_llama_cpp_is_called_three_times_before_an_answer(
    registry_of_two: Callable[[Path], None],
    asked: Callable[..., list[str]],
    store: Store,
    tmp_path: Path,
) -> None:
    registry_of_two(tmp_path / "models")
    children = Children(Limits(threads=1), most=4, idle_seconds=60)
    runtime = LlamaCppRuntime(Registry(tmp_path / "models"), children)
    library = await library_over(runtime, store, tmp_path)
    asked()
    await library.ask(options=TIGHT, context_length=1500)
    assert asked() == [
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/chat/completions/input_tokens",
        "/v1/chat/completions",
    ]
    await library.ask(documents=[])
    assert asked() == ["/v1/chat/completions"]
    assert len(children.loaded()) == 2
    library.index.close()
    await runtime.close()


@pytest.fixture
def with_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of Ollama go past httpx: let its log tell of them too."""
    post = Connections.post

    def told(self: Connections, path: str, *more: Any) -> Any:
        logging.getLogger("httpx").info("%s", f"{str(self._base).rstrip('/')}{path}")
        return post(self, path, *more)

    monkeypatch.setattr(Connections, "post", told)


@pytest.mark.real
@pytest.mark.usefixtures("with_streams")
async def test_ollama_is_asked_three_times_before_an_answer_and_no_more_for_its_models(
    ollama_double: str,
    asked: Callable[..., list[str]],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library_of_ollama, "LIST_SECONDS", math.inf)
    runtime = ollama_runtime(ollama_double)
    library = await library_over(runtime, store, tmp_path)
    asked()
    await library.ask(options=TIGHT, context_length=1500)
    assert asked(ollama_double) == [
        "/api/chat",
        "/api/embed",
        "/api/chat",
        "/api/chat",
    ]
    await library.ask(documents=[])
    assert asked(ollama_double) == ["/api/chat"]
    library.index.close()
    await runtime.close()
