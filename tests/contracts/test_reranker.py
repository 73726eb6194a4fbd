"""What every runtime that can rerank does; Ollama cannot, which the contract of all runtimes holds."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from api.errors import InvalidOption, ModelNotFound, Unusable
from api.runtime import GGUFFile, Message, ModelRuntime, Options, Persona
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from tests.fakes import FakeRuntime
from tests.tiny_reranker import write_reranker

pytestmark = pytest.mark.anyio

QUESTION = "What is the warranty of the heater"
TEXTS = ["the warranty of the heater is cheap", "parking is cheap", "lamp", "the heater"] * 3


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[ModelRuntime]:
    yield FakeRuntime(reranker="reranker")


@asynccontextmanager
async def llama_cpp(folder: Path, *, names_pooling: bool = True) -> AsyncIterator[ModelRuntime]:
    children = Children(Limits(threads=1), most=1, idle_seconds=60)
    runtime = LlamaCppRuntime(Registry(folder / "models"), children)
    file = GGUFFile(write_reranker(folder / "reranker.gguf", names_pooling=names_pooling))
    await runtime.create_model("reranker", file, Persona())
    yield runtime
    await runtime.close()


def unnamed(folder: Path) -> AbstractAsyncContextManager[ModelRuntime]:
    """A file as most converters write it: only its head tells that it is a reranker."""
    return llama_cpp(folder, names_pooling=False)


@pytest.fixture(
    params=[
        pytest.param(fake, id="fake"),
        pytest.param(llama_cpp, id="llama_cpp", marks=pytest.mark.real),
        pytest.param(unnamed, id="unnamed", marks=pytest.mark.real),
    ]
)
async def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ModelRuntime]:
    async with request.param(tmp_path) as opened:
        yield opened


async def test_it_gives_each_text_its_own_score(runtime: ModelRuntime) -> None:
    found = await runtime.show("Reranker")
    assert found.capabilities == {"rerank"}
    scores = await runtime.rerank(found, QUESTION, TEXTS)
    assert len(scores) == len(TEXTS)
    assert len(set(scores[:4])) > 2
    assert scores == pytest.approx(scores[:4] * 3, abs=1e-3)
    backwards = await runtime.rerank("reranker", QUESTION, TEXTS[::-1])
    assert backwards == pytest.approx(scores[::-1], abs=1e-3)
    assert await runtime.rerank("reranker", QUESTION, []) == []


async def test_it_makes_neither_vectors_nor_text(runtime: ModelRuntime) -> None:
    with pytest.raises(InvalidOption):
        await runtime.embed("reranker", ["text"])
    with pytest.raises(InvalidOption):
        await anext(runtime.chat("reranker", [Message("user", "Hello")], Options()))
    with pytest.raises(ModelNotFound):
        await runtime.rerank("nobody", QUESTION, TEXTS)


async def test_a_text_that_does_not_fit_is_refused(runtime: ModelRuntime) -> None:
    with pytest.raises(Unusable):
        await runtime.rerank("reranker", QUESTION, ["lamp", "parking " * 80])
