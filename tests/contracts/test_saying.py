"""What every ModelRuntime says to a text, with probabilities, by functions: seen from outside, over each of them."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import InvalidOption, PromptTooLong
from api.runtime import Message, ModelRuntime, Options, Piece, ToolCall, forced_calls, grown
from tests.contracts.test_model_runtime import (
    HELLO,
    RUNTIMES,
    SHORT,
    Case,
    ask,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[one for one in RUNTIMES if one.id != "encoder"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    async with request.param(request, tmp_path) as case:
        yield case


async def completed(runtime: ModelRuntime, prompt: str, options: Options) -> list[Piece]:
    async with aclosing(runtime.complete("demo", prompt, options)) as stream:
        return [piece async for piece in stream]


async def test_a_text_is_gone_on_with_as_it_stands(case: Case) -> None:
    pieces = await completed(case.runtime, "Hello", SHORT)
    usage = pieces[-1].usage
    assert usage is not None
    assert 0 < usage.completion_tokens <= 8
    templated = (await case.runtime.count_tokens("demo", HELLO)).number
    assert usage.prompt_tokens <= templated
    whole = "".join(piece.text for piece in pieces)
    stop = whole[len(whole) // 2 :][:2]
    cut = await completed(case.runtime, "Hello", replace(SHORT, stop=(stop,)))
    assert "".join(piece.text for piece in cut) == whole[: whole.index(stop)]
    with pytest.raises(PromptTooLong):
        await completed(case.runtime, "word " * 60, Options(num_ctx=50, max_tokens=4))
    roomy = replace(SHORT, num_ctx=50, max_tokens=50)
    async with aclosing(case.runtime.complete("demo", "Hello", roomy, least_tokens=1)) as stream:
        assert [piece async for piece in stream][-1].usage
    with pytest.raises(InvalidOption):
        await anext(case.runtime.complete("embedder", "Hello", SHORT))


@pytest.mark.parametrize("most", [0, 2])
async def test_tokens_come_with_their_probabilities(case: Case, most: int) -> None:
    options = replace(SHORT, logprobs=most, max_tokens=4)
    _, chatted = await ask(case.runtime, "demo", HELLO, options)
    gone_on = await completed(case.runtime, "Hello", options)
    for pieces in (chatted, gone_on):
        tokens = [token for piece in pieces for token in piece.logprobs]
        said = b"".join(bytes(token.bytes or ()) for token in tokens).decode()
        assert said == "".join(piece.text for piece in pieces)
        assert all(token.logprob <= 0 and len(token.top) == most for token in tokens)
    _, plain = await ask(case.runtime, "demo", HELLO)
    assert not any(piece.logprobs for piece in plain)


async def test_the_probability_of_a_letter_of_several_tokens_has_its_bytes(case: Case) -> None:
    options = Options(json_schema={"const": "\u00fc\u20ac"}, logprobs=1, max_tokens=20)
    pieces = await completed(case.runtime, "Hello", options)
    text = "".join(piece.text for piece in pieces)
    tokens = [token for piece in pieces for token in piece.logprobs]
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == text


async def test_a_bias_is_followed_or_refused(case: Case) -> None:
    banned = replace(SHORT, logit_bias=dict.fromkeys(range(1, 20), -100))
    try:
        _, pieces = await ask(case.runtime, "demo", HELLO, banned)
    except InvalidOption as refusal:
        assert refusal.extra["where"] == "logit_bias"  # noqa: PT017
    else:
        assert pieces[-1].usage is not None


def function(name: str, **properties: dict[str, object]) -> dict[str, object]:
    """A tool, all of whose parameters are required."""
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": {"Digit": {"type": "integer", "minimum": 0, "maximum": 9}},
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


CITY = function("weather", city={"type": "string", "maxLength": 6}, unit={"enum": ["C", "F"]})
ADD = function("add", a={"$ref": "#/$defs/Digit"}, b={"$ref": "#/$defs/Digit"})
ROLL = function("roll", sides={"$ref": "#/$defs/Digit"}, fair={"type": "boolean"})
CALLING = Options(temperature=0, seed=1, max_tokens=100, tools=(ROLL, ADD))


async def called(case: Case, messages: list[Message], options: Options) -> list[Piece]:
    model = await case.runtime.show("demo")
    async with aclosing(forced_calls.chat(case.runtime, model, messages, options)) as stream:
        return [piece async for piece in stream]


@pytest.mark.parametrize("choice", ["add", "required"])
async def test_a_call_that_must_be_made_is_made(case: Case, choice: str) -> None:
    pieces = await called(case, HELLO, replace(CALLING, tool_choice=choice))
    first, *others = [call for piece in pieces for call in piece.calls]
    assert first.id
    assert not any(piece.text for piece in pieces)
    assert not any(other.id or other.name or other.index for other in others)
    call = None
    for piece in (first, *others):
        call = grown(call, piece)
    assert call is not None
    arguments = json.loads(call.arguments)
    if choice == "add":
        assert call.name == "add"
        assert set(arguments) == {"a", "b"}
        assert all(0 <= number <= 9 for number in arguments.values())
    usage = pieces[-1].usage
    assert usage is not None
    assert usage.finish_reason == ("tool_calls" if choice == "required" else "stop")


async def test_a_call_that_is_cut_off_says_so(case: Case) -> None:
    pieces = await called(
        case, HELLO, replace(CALLING, tools=(CITY,), tool_choice="weather", max_tokens=8)
    )
    usage = pieces[-1].usage
    assert usage is not None
    cut = usage.finish_reason == "length"
    assert cut or usage.completion_tokens <= 8  # the fake takes a word for a token


async def test_a_model_without_tools_cannot_choose_one(case: Case) -> None:
    assert "tools" not in (await case.runtime.show("demo")).capabilities
    with pytest.raises(InvalidOption) as refusal:
        await called(case, HELLO, CALLING)
    assert refusal.value.extra["where"] == "tools"
    calls = (ToolCall("call_1", "weather", '{"city": "Rome", "unit": "C"}'),)
    turns = [
        *HELLO,
        Message("assistant", "", tool_calls=calls),
        Message("tool", "It is warm.", tool_call_id="call_1"),
    ]
    pieces = await called(case, turns, replace(CALLING, tool_choice="none", max_tokens=4))
    usage = pieces[-1].usage
    assert usage is not None
    assert not any(piece.calls for piece in pieces)
    plain = (await case.runtime.count_tokens("demo", HELLO)).number
    assert usage.prompt_tokens == (await case.runtime.count_tokens("demo", turns)).number > plain


async def test_what_is_no_schema_or_no_tool_is_refused_with_its_place(case: Case) -> None:
    for options, where in (
        (Options(json_schema={"type": "banana"}), "response_format"),
        (Options(json_schema={"$ref": "http://example.com/x"}), "response_format"),
        (Options(tools=({"type": "function"},)), "tools"),
        (Options(tools=(CITY, CITY)), "tools"),
        (Options(tools=(CITY,), tool_choice="sing"), "tool_choice"),
        (Options(tool_choice="required"), "tool_choice"),
    ):
        with pytest.raises(InvalidOption) as refusal:
            await ask(case.runtime, "demo", HELLO, options)
        assert refusal.value.extra["where"] == where
