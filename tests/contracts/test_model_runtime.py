"""What every ModelRuntime does, seen from outside. Each implementation is one more parameter."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from api.errors import InvalidOption, ModelNotFound, NameTaken, PromptTooLong, Unusable
from api.runtime import (
    ExistingModel,
    GGUFFile,
    Message,
    ModelRuntime,
    ModelSource,
    Options,
    Persona,
    Piece,
)
from api.runtime.llama_cpp.child import Limits
from api.runtime.llama_cpp.children import Children
from api.runtime.llama_cpp.registry import Registry
from api.runtime.llama_cpp.runtime import LlamaCppRuntime
from api.runtime.presets import PRESETS
from api.runtime.training import Training
from tests.contracts.ollama_server import (
    clear,
    furnish,
    loaded_in,
    ollama_runtime,
    refuse_somebodys,
)
from tests.contracts.remote import routed_over
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio

HELLO = [Message("user", "Hello, who are you?")]
SHORT = Options(temperature=0, seed=1, max_tokens=8)


@dataclass(frozen=True)
class Case:
    """A runtime that has a chat model `demo` and an embedding model `embedder`, a GGUF to create from, and a look at
    what was loaded with which context.
    """

    runtime: ModelRuntime
    gguf: Path
    loaded: Callable[[], Awaitable[list[tuple[str, int]]]]


@asynccontextmanager
async def fake(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Case]:
    gguf = folder / "model.gguf"
    gguf.write_bytes(b"GGUF and nothing else")
    numbers = " ".join(str(number) for number in range(4000))
    runtime = FakeRuntime(lambda _: numbers, usual_context=2048, embedding_model="embedder")

    async def loaded() -> list[tuple[str, int]]:
        return runtime.loads

    yield Case(runtime, gguf, loaded)


@asynccontextmanager
async def llama_cpp(
    request: pytest.FixtureRequest, folder: Path, models: str = "registry_of_two"
) -> AsyncIterator[Case]:
    request.getfixturevalue(models)(folder / "models")
    children = Children(Limits(threads=1), most=4, idle_seconds=60)
    runtime = LlamaCppRuntime(Registry(folder / "models"), children, context_length=2048)

    async def loaded() -> list[tuple[str, int]]:
        launches = [child.launch for child in children.loaded()]
        return [(launch.path.name, launch.context_length) for launch in launches]

    yield Case(runtime, request.getfixturevalue("demo_gguf"), loaded)
    await runtime.close()


def encoder(request: pytest.FixtureRequest, folder: Path) -> AbstractAsyncContextManager[Case]:
    """The same runtime with an embedding model that ONNX Runtime runs."""
    return llama_cpp(request, folder, "registry_with_encoder")


@asynccontextmanager
async def ollama_double(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Case]:
    url = request.getfixturevalue("ollama_double")
    runtime = ollama_runtime(url)
    yield Case(runtime, request.getfixturevalue("demo_gguf"), lambda: loaded_in(url))
    await runtime.close()


@asynccontextmanager
async def openai_style(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Case]:
    """Models on back ends, which are llama.cpp's own server; a file goes to the home runtime, which has no model."""
    home = LlamaCppRuntime(
        Registry(folder / "models"),
        Children(Limits(threads=1), most=4, idle_seconds=60),
        context_length=2048,
    )

    async def loaded() -> list[tuple[str, int]]:
        return [("demo", 2048)]

    async with routed_over(home, request.getfixturevalue("llama_servers")) as runtime:
        yield Case(runtime, request.getfixturevalue("demo_gguf"), loaded)
        await runtime.close()


@asynccontextmanager
async def ollama(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Case]:
    url = os.environ["OLLAMA_TEST_URL"]
    runtime = ollama_runtime(url)
    gguf = request.getfixturevalue("demo_gguf")
    await refuse_somebodys(runtime)
    try:
        await furnish(runtime, gguf, request.getfixturevalue("embedding_gguf"))
        yield Case(runtime, gguf, lambda: loaded_in(url))
    finally:
        await clear(runtime)
        await runtime.close()


RUNTIMES = [
    pytest.param(fake, id="fake"),
    pytest.param(llama_cpp, id="llama_cpp", marks=pytest.mark.real),
    pytest.param(ollama_double, id="ollama_double", marks=pytest.mark.real),
    pytest.param(openai_style, id="openai_style", marks=pytest.mark.real),
]
if "OLLAMA_TEST_URL" in os.environ:
    RUNTIMES.append(pytest.param(ollama, id="ollama", marks=pytest.mark.real))
WITH_ENCODER = [*RUNTIMES, pytest.param(encoder, id="encoder", marks=pytest.mark.real)]
"""For what has to do with embedding: the chat model of `encoder` is the one of `llama_cpp`."""
embeds = pytest.mark.parametrize("case", WITH_ENCODER, indirect=True)


@pytest.fixture(params=RUNTIMES)
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    async with request.param(request, tmp_path) as case:
        yield case


async def create(
    runtime: ModelRuntime, name: str, source: ModelSource, *, replace: bool = False, **persona: Any
) -> None:
    await runtime.create_model(name, source, Persona(**persona), replace=replace)


async def ask(
    runtime: ModelRuntime, name: str, messages: list[Message], options: Options = SHORT
) -> tuple[str, list[Piece]]:
    async with aclosing(runtime.chat(name, messages, options)) as stream:
        pieces = [piece async for piece in stream]
    return "".join(piece.text for piece in pieces), pieces


async def names(runtime: ModelRuntime) -> list[str]:
    return [model.name for model in await runtime.models()]


@embeds
async def test_models_are_listed_by_name_with_what_they_can_do(case: Case) -> None:
    models = await case.runtime.models()
    assert [model.name for model in models] == ["demo", "embedder"]
    demo, embedder = models
    assert demo.digest != embedder.digest
    assert min(len(demo.digest), len(embedder.digest)) >= 12
    assert "chat" in demo.capabilities
    assert "embed" not in demo.capabilities
    assert embedder.capabilities == {"embed"}
    assert demo.context_length >= 512
    assert demo.size_bytes > 0
    assert "message" in demo.template.lower()


@embeds
async def test_an_unknown_model_is_not_found_and_the_others_are_named(case: Case) -> None:
    runtime = case.runtime
    with pytest.raises(ModelNotFound) as refusal:
        await runtime.show("nobody")
    assert "demo" in refusal.value.detail
    for attempt in (
        ask(runtime, "nobody", HELLO),
        runtime.count_tokens("nobody", HELLO),
        runtime.embed("nobody", ["text"]),
        runtime.tokenize_lengths("nobody", ["text"]),
        runtime.delete_model("nobody"),
        runtime.rename("nobody", "somebody"),
        create(runtime, "new", ExistingModel("nobody")),
    ):
        with pytest.raises(ModelNotFound):
            await attempt


async def test_a_model_made_of_a_file_is_listed_and_answers(case: Case) -> None:
    await create(case.runtime, "mine", GGUFFile(case.gguf))
    assert await names(case.runtime) == ["demo", "embedder", "mine"]
    text, _ = await ask(case.runtime, "mine", HELLO)
    assert text
    assert case.gguf.is_file()


async def test_names_are_compared_without_regard_to_case(case: Case) -> None:
    assert (await case.runtime.show("DEMO")).name == "demo"
    with pytest.raises(NameTaken):
        await create(case.runtime, "Demo", ExistingModel("demo"))
    await case.runtime.rename("demo", "Demo")
    assert await names(case.runtime) == ["Demo", "embedder"]


async def test_a_taken_name_is_refused_unless_it_may_be_replaced(case: Case) -> None:
    await create(case.runtime, "p", ExistingModel("demo"), system="One.")
    with pytest.raises(NameTaken):
        await create(case.runtime, "p", ExistingModel("demo"), system="Two.")
    await create(case.runtime, "p", ExistingModel("demo"), system="Three.", replace=True)
    assert (await case.runtime.show("p")).persona.system == "Three."
    assert (await names(case.runtime)).count("p") == 1


async def test_of_two_creations_with_one_name_one_wins(case: Case) -> None:
    outcomes = await asyncio.gather(
        *(create(case.runtime, "twin", ExistingModel("demo"), system=s) for s in ("a", "b")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome] == [NameTaken]
    assert (await case.runtime.show("twin")).persona.system in {"a", "b"}


async def test_a_creation_that_is_broken_off_leaves_nothing(case: Case) -> None:
    for seconds in (0, 0.01, 0.03, 0.1, 0.3):
        creation = asyncio.create_task(create(case.runtime, "half", GGUFFile(case.gguf)))
        await asyncio.wait([creation], timeout=seconds)
        creation.cancel()
        await asyncio.wait([creation])
        if not creation.cancelled():
            await case.runtime.delete_model("half")
        async with asyncio.timeout(60):
            while await names(case.runtime) != ["demo", "embedder"]:
                await asyncio.sleep(0.05)
    await create(case.runtime, "half", GGUFFile(case.gguf))


async def test_a_file_that_is_no_gguf_is_refused(case: Case, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK\x03\x04 not a model")
    for path in (wrong, tmp_path / "missing.gguf"):
        with pytest.raises(Unusable):
            await create(case.runtime, "wrong", GGUFFile(path))
    assert "wrong" not in await names(case.runtime)


async def test_a_template_that_does_not_parse_is_refused(case: Case) -> None:
    with pytest.raises(Unusable):
        await create(case.runtime, "odd", ExistingModel("demo"), template="{% for x in %}")
    assert "odd" not in await names(case.runtime)


async def test_a_persona_with_impossible_parameters_is_refused(case: Case) -> None:
    for parameters in (Options(temperature=-1), Options(num_ctx=10_000_000)):
        with pytest.raises(InvalidOption):
            await create(case.runtime, "odd", ExistingModel("demo"), parameters=parameters)
    assert "odd" not in await names(case.runtime)


async def test_a_persona_speaks_first_unless_the_conversation_has_a_system_turn(case: Case) -> None:
    runtime = case.runtime
    await create(runtime, "pirate", ExistingModel("demo"), system="You are a pirate of the sea.")
    plain = (await runtime.count_tokens("demo", HELLO)).number
    with_persona = (await runtime.count_tokens("pirate", HELLO)).number
    system = Message("system", "You are a pirate of the sea.")
    said = (await runtime.count_tokens("demo", [system, *HELLO])).number
    assert plain < with_persona == said
    assert (await runtime.count_tokens("pirate", [system, *HELLO])).number == said


async def test_a_persona_over_a_persona_inherits_what_it_does_not_set(case: Case) -> None:
    runtime = case.runtime
    parameters = Options(max_tokens=3, temperature=0, top_k=5, min_p=0.25, repeat_penalty=1.5)
    await create(runtime, "first", ExistingModel("demo"), system="Be brief.", parameters=parameters)
    await create(runtime, "second", ExistingModel("first"), parameters=Options(seed=7))
    second = await runtime.show("second")
    assert second.persona.system == "Be brief."
    assert second.persona.parameters == replace(parameters, seed=7)
    _, pieces = await ask(runtime, "second", HELLO, Options())
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens <= 3


async def test_models_built_on_a_deleted_one_go_on_answering(case: Case) -> None:
    await create(case.runtime, "heir", ExistingModel("demo"), system="Hello.")
    await case.runtime.delete_model("demo")
    assert await names(case.runtime) == ["embedder", "heir"]
    text, _ = await ask(case.runtime, "heir", HELLO)
    assert text
    with pytest.raises(ModelNotFound):
        await ask(case.runtime, "demo", HELLO)


async def test_a_renamed_model_answers_under_its_new_name_alone(case: Case) -> None:
    await create(case.runtime, "old", ExistingModel("demo"), system="Kept.")
    with pytest.raises(NameTaken):
        await case.runtime.rename("old", "demo")
    await case.runtime.rename("old", "new")
    assert await names(case.runtime) == ["demo", "embedder", "new"]
    assert (await case.runtime.show("new")).persona.system == "Kept."
    with pytest.raises(ModelNotFound):
        await case.runtime.show("old")


async def test_an_answer_comes_in_pieces_and_the_last_one_carries_the_usage(case: Case) -> None:
    long = {"type": "string", "minLength": 400}
    options = Options(json_schema=long, max_tokens=40, temperature=0, seed=1)
    _, pieces = await ask(case.runtime, "demo", HELLO, options)
    assert len(pieces) > 2
    assert all(piece.usage is None for piece in pieces[:-1])
    usage = pieces[-1].usage
    assert usage is not None
    assert usage.finish_reason == "length"
    assert usage.completion_tokens == 40
    assert usage.prompt_tokens == (await case.runtime.count_tokens("demo", HELLO)).number


async def test_the_same_seed_gives_the_same_answer(case: Case) -> None:
    warm = Options(temperature=1.0, seed=11, max_tokens=12)
    first, _ = await ask(case.runtime, "demo", HELLO, warm)
    second, _ = await ask(case.runtime, "demo", HELLO, warm)
    assert first == second


@pytest.mark.parametrize("narrow", [Options(top_k=1), Options(min_p=1.0)], ids=["top_k", "min_p"])
async def test_an_answer_from_the_likeliest_token_alone_is_the_same_at_any_temperature(
    case: Case, narrow: Options
) -> None:
    cold, _ = await ask(case.runtime, "demo", HELLO, Options(temperature=0, max_tokens=12))
    hot, _ = await ask(
        case.runtime, "demo", HELLO, replace(narrow, temperature=5, seed=3, max_tokens=12)
    )
    assert hot == cold


async def test_an_answer_ends_before_a_stop_text(case: Case) -> None:
    whole, _ = await ask(case.runtime, "demo", HELLO)
    stop = whole[len(whole) // 2 :][:3]
    options = Options(temperature=0, seed=1, max_tokens=8, stop=(stop,))
    cut, pieces = await ask(case.runtime, "demo", HELLO, options)
    assert cut == whole[: whole.index(stop)]
    assert pieces[-1].usage is not None


@pytest.mark.parametrize("way", ["chat", "complete"])
async def test_an_answer_ends_at_a_token_where_a_model_can_be_told_so(case: Case, way: str) -> None:
    shown = await case.runtime.show("demo")
    options = replace(SHORT, logit_bias={5: 100}, stop_token_ids=(5,))

    async def said(options: Options) -> list[Piece]:
        if way == "chat":
            return (await ask(case.runtime, "demo", HELLO, options))[1]
        async with aclosing(case.runtime.complete("demo", "Hello", options)) as stream:
            return [piece async for piece in stream]

    if not shown.stops_at_tokens:
        with pytest.raises(InvalidOption) as caught:
            await said(replace(options, logit_bias=None))
        assert caught.value.extra["where"] == "stop_token_ids"
        return
    whole, cut = (await said(replace(options, stop_token_ids=()))), await said(options)
    assert whole[-1].usage is not None
    assert cut[-1].usage is not None
    assert (whole[-1].usage.finish_reason, cut[-1].usage.finish_reason) == ("length", "stop")
    assert whole[-1].usage.prompt_tokens == cut[-1].usage.prompt_tokens
    assert cut[-1].usage.completion_tokens < whole[-1].usage.completion_tokens == 8
    assert "".join(one.text for one in whole).startswith("".join(one.text for one in cut))


async def test_parameters_that_nobody_allowed_are_refused(case: Case) -> None:
    for options in (Options(extra={"top": 1}), Options(stop_token_ids=(-1,))):
        with pytest.raises(InvalidOption):
            await ask(case.runtime, "demo", HELLO, options)


async def test_a_template_may_be_a_word(case: Case) -> None:
    await create(case.runtime, "ada", ExistingModel("demo"), system="Be Ada.", template="zephyr")
    made = await case.runtime.show("ada")
    assert "<|assistant|>" in made.template
    assert made.persona.parameters.stop in (PRESETS["zephyr"].stop, None)  # Ollama tells no marks
    _, pieces = await ask(case.runtime, "ada", HELLO)
    assert pieces[-1].usage is not None
    counted = await case.runtime.count_tokens("ada", HELLO)
    assert counted.number >= pieces[-1].usage.prompt_tokens > 5


async def test_a_prompt_that_does_not_fit_is_refused_before_the_first_piece(case: Case) -> None:
    long = [Message("user", "word " * 100)]
    number = (await case.runtime.count_tokens("demo", long)).number
    with pytest.raises(PromptTooLong) as refusal:
        await ask(case.runtime, "demo", long, Options(num_ctx=50))
    assert refusal.value.extra["prompt_tokens"] == number
    assert refusal.value.extra["limit_tokens"] < 50
    assert "max_tokens" not in str(refusal.value)
    with pytest.raises(PromptTooLong, match="max_tokens, or raise num_ctx"):
        await ask(case.runtime, "demo", long, Options(num_ctx=number + 10, max_tokens=11))
    _, pieces = await ask(case.runtime, "demo", long, Options(num_ctx=number + 10, max_tokens=10))
    assert pieces[-1].usage is not None


OUT_OF_RANGE = (
    Options(temperature=math.nan),
    Options(temperature=-1),
    Options(top_k=-1),
    Options(min_p=1.5),
    Options(repeat_penalty=0),
    Options(max_tokens=0),
    Options(num_ctx=10_000_000),
    Options(tools=({"type": "function"},)),
    Options(frequency_penalty=3),
    Options(presence_penalty=-3),
    Options(logprobs=21),
    Options(logit_bias={1: 101}),
    Options(logit_bias={-1: 1}),
)


async def test_an_option_out_of_range_is_refused(case: Case) -> None:
    for options in OUT_OF_RANGE:
        with pytest.raises(InvalidOption):
            await ask(case.runtime, "demo", HELLO, options)


async def test_more_than_the_model_was_trained_for_is_refused_with_what_it_was(case: Case) -> None:
    trained = (await case.runtime.show("demo")).context_length
    with pytest.raises(InvalidOption, match=f"context of {trained} tokens"):
        await ask(case.runtime, "demo", HELLO, Options(num_ctx=trained + 1))
    with pytest.raises(PromptTooLong) as refusal:
        await ask(case.runtime, "demo", HELLO, Options(num_ctx=trained, max_tokens=trained))
    assert "num_ctx" not in str(refusal.value)
    assert "horten" not in str(refusal.value)
    assert "max_tokens" in str(refusal.value)


async def test_images_and_empty_conversations_are_refused(case: Case) -> None:
    with pytest.raises(InvalidOption):
        await ask(case.runtime, "demo", [Message("user", "What is this?", images=(b"png",))])
    with pytest.raises(Unusable):
        await ask(case.runtime, "demo", [])


@embeds
async def test_a_chat_model_makes_no_vectors_and_an_embedding_model_no_text(case: Case) -> None:
    with pytest.raises(InvalidOption):
        await case.runtime.embed("demo", ["text"])
    with pytest.raises(InvalidOption):
        await case.runtime.rerank("demo", "question", ["text"])
    with pytest.raises(InvalidOption):
        await ask(case.runtime, "embedder", HELLO)
    with pytest.raises(InvalidOption):
        await case.runtime.count_tokens("embedder", HELLO)


@embeds
async def test_vectors_are_normalised_and_similar_for_similar_texts(case: Case) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat sleeps on a sofa.", "Interest rates rose."]
    vectors = await case.runtime.embed("embedder", texts * 4)
    assert len(vectors) == 12
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-3) for vector in vectors)
    assert _cosine(vectors[0], vectors[1]) > _cosine(vectors[0], vectors[2]) + 0.1
    assert await case.runtime.embed("embedder", []) == []


@embeds
async def test_a_text_too_long_to_embed_is_named_and_not_cut(case: Case) -> None:
    with pytest.raises(Unusable) as refusal:
        await case.runtime.embed("embedder", ["short"] * 10 + ["word " * 600] + ["short"])
    assert refusal.value.extra["index"] == 10
    assert refusal.value.extra["tokens"] >= 600


@embeds
async def test_tokens_of_texts_are_counted_in_order(case: Case) -> None:
    texts = ["one", "one two three", "", "one two"] * 20
    lengths = await case.runtime.tokenize_lengths("embedder", texts)
    assert lengths == [1, 3, 0, 2] * 20


async def test_it_answers_again_after_its_memory_was_released(case: Case) -> None:
    before, _ = await ask(case.runtime, "demo", HELLO)
    await case.runtime.release_memory()
    after, _ = await ask(case.runtime, "demo", HELLO)
    assert before == after


async def test_one_question_loads_its_model_once(case: Case) -> None:
    larger = 3000
    await case.runtime.count_tokens("demo", HELLO, larger)
    loaded = list(await case.loaded())
    assert len(loaded) == 1
    await ask(case.runtime, "demo", HELLO, Options(num_ctx=larger, max_tokens=4))
    await case.runtime.tokenize_lengths("demo", ["one", "two"], larger)
    assert await case.loaded() == loaded


async def test_an_answer_ends_where_the_context_does(case: Case) -> None:
    number = (await case.runtime.count_tokens("demo", HELLO)).number
    endless = {"type": "string", "minLength": 400}
    options = Options(num_ctx=number + 20, json_schema=endless, max_tokens=50)
    stream = case.runtime.chat("demo", HELLO, options, least_tokens=20, prompt_tokens=number)
    async with aclosing(stream):
        usage = [piece async for piece in stream][-1].usage
    assert usage is not None
    assert (usage.finish_reason, usage.completion_tokens) == ("length", 20)
    with pytest.raises(PromptTooLong):
        await anext(case.runtime.chat("demo", HELLO, options, least_tokens=21))


@embeds
async def test_a_model_that_was_found_is_found(case: Case) -> None:
    found = await case.runtime.show("DEMO")
    assert await case.runtime.show(found) == found
    by_name = await case.runtime.count_tokens("demo", HELLO)
    assert await case.runtime.count_tokens(found, HELLO) == by_name
    embedder = await case.runtime.show("embedder")
    assert await case.runtime.embed(embedder, ["a"]) == await case.runtime.embed("embedder", ["a"])
    await case.runtime.delete_model("demo")
    with pytest.raises(ModelNotFound):
        await anext(case.runtime.chat(found, HELLO, SHORT))


@embeds
async def test_a_training_on_a_cpu_keeps_nothing_from_being_loaded(case: Case) -> None:
    case.runtime.reserve([Training("job_1", "cpu")])
    await case.runtime.release_memory("cpu")
    text, _ = await ask(case.runtime, "demo", HELLO)
    assert text
    assert await case.runtime.embed("embedder", ["text"])


@embeds
async def test_a_check_gives_hints(case: Case) -> None:
    assert all(isinstance(hint, str) for hint in await case.runtime.check())


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
