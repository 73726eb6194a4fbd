"""What the Ollama runtime keeps for a moment: the server's list of models, and connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpcore
import pytest

from api.errors import BackEndFailed, ModelNotFound
from api.runtime import ExistingModel, Message, Options, Persona
from api.runtime.ollama import connections
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.library import LIST_SECONDS, Library
from api.runtime.ollama.runtime import OllamaRuntime
from tests.runtime.scripted_ollama import (
    HANG_UP,
    Said,
    ScriptedOllama,
    last,
    lines,
    piece,
    runtime_over,
    scripted_ollama,
)

pytestmark = pytest.mark.anyio


class Clock:
    """Stands until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def ollama() -> AsyncIterator[ScriptedOllama]:
    async with scripted_ollama() as server:
        yield server


@pytest.fixture
async def runtime(ollama: ScriptedOllama) -> AsyncIterator[OllamaRuntime]:
    runtime = runtime_over(ollama.url)
    yield runtime
    await runtime.close()


async def said(runtime: OllamaRuntime) -> str:
    """What the model answers."""
    async with aclosing(runtime.chat("chatty", [Message("user", "Hello")], Options())) as pieces:
        return "".join([piece.text async for piece in pieces])


async def test_a_model_is_found_in_the_list_of_a_moment_ago_and_no_older_one(
    ollama: ScriptedOllama,
) -> None:
    client, clock = OllamaClient(ollama.url, start_seconds=60), Clock()
    library = Library(client, clock)
    await library.find("chatty")
    del ollama.shown["chatty"]
    clock.now = LIST_SECONDS * 0.9
    await library.find("chatty")
    assert len(ollama.sent("/api/tags")) == 1
    clock.now = LIST_SECONDS
    with pytest.raises(ModelNotFound):
        await library.find("chatty")
    await client.close()


async def test_questions_that_come_together_ask_for_the_list_once(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    await asyncio.gather(*(runtime.show("chatty") for _ in range(5)))
    assert len(ollama.sent("/api/tags")) == 1


async def test_a_list_that_was_not_had_is_asked_for_again_at_once(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/tags", *[Said(500)] * 2, lines({"models": [{"name": "chatty:latest"}]}))
    for _ in range(2):
        with pytest.raises(BackEndFailed):
            await runtime.show("chatty")
    assert (await runtime.show("chatty")).name == "chatty"


async def test_a_model_that_another_program_made_is_found_at_once(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    await runtime.show("chatty")
    ollama.shown["new"] = ollama.shown["chatty"]
    assert (await runtime.show("new")).name == "new"


async def test_a_list_that_is_shown_is_of_now(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    await runtime.show("chatty")
    del ollama.shown["chatty"]
    assert [info.name for info in await runtime.models()] == ["vectors"]


async def test_a_model_that_was_deleted_here_is_gone_at_once(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    await runtime.show("chatty")
    del ollama.shown["chatty"]
    await runtime.delete_model("vectors")
    with pytest.raises(ModelNotFound):
        await runtime.show("chatty")


async def test_a_base_that_another_program_deleted_is_never_fetched_by_the_server(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    await runtime.show("chatty")
    del ollama.shown["chatty"]
    with pytest.raises(ModelNotFound):
        await runtime.create_model("new", ExistingModel("chatty"), Persona())
    assert not ollama.sent("/api/create")


@pytest.mark.parametrize(("then", "opened"), [("end", 1), ("close", 2)])
async def test_the_connection_of_an_answer_is_kept_for_the_next_as_long_as_the_server_keeps_it(
    runtime: OllamaRuntime, ollama: ScriptedOllama, then: str, opened: int
) -> None:
    await runtime.show("chatty")
    before = ollama.connections
    ollama.script("/api/chat", lines(piece("Hi"), last(), then=then))
    assert [await said(runtime) for _ in range(2)] == ["Hi", "Hi"]
    assert (ollama.connections - before, len(ollama.sent("/api/chat"))) == (opened, 2)


async def test_a_question_that_meets_the_end_of_a_kept_connection_is_asked_again(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    answer = lines(piece("Hi"), last())
    ollama.script("/api/chat", answer, HANG_UP, answer)
    assert [await said(runtime) for _ in range(2)] == ["Hi", "Hi"]
    assert len(ollama.sent("/api/chat")) == 3


@pytest.mark.parametrize("then", ["hang", "drop"])
async def test_an_answer_that_is_there_is_told_though_the_server_does_not_end_it(
    runtime: OllamaRuntime, ollama: ScriptedOllama, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(connections, "END_SECONDS", 0.05)
    ollama.script("/api/chat", lines(piece("Hi"), last(), then=then))
    assert [await said(runtime) for _ in range(2)] == ["Hi", "Hi"]


async def test_what_is_refused_leaves_no_connection_that_is_half_read(
    runtime: OllamaRuntime, ollama: ScriptedOllama
) -> None:
    ollama.script("/api/chat", Said(404, b"model 'chatty' not found"), lines(piece("Hi"), last()))
    with pytest.raises(ModelNotFound):
        await said(runtime)
    assert await said(runtime) == "Hi"


@pytest.mark.parametrize(
    "pieces",
    [[b"one\ntwo\n"], [b"o", b"ne\nt", b"wo"], [b"one\n", b"\n", b"two\n"], [b"one", b"\ntwo\n"]],
)
async def test_lines_are_whole_however_they_come(pieces: list[bytes]) -> None:
    async def content() -> AsyncIterator[bytes]:
        for one in pieces:
            yield one

    answer = httpcore.Response(200, content=content())
    assert [line async for line in connections.lines(answer)] == [b"one", b"two"]
