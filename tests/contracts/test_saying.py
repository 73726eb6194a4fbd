"""What every ModelRuntime says to a text, with probabilities, by functions: seen from outside, over each of them."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import InvalidOption, PromptTooLong
from api.runtime import ModelRuntime, Options, Piece
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
