"""completions as the stock SDK asks for them."""

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.routes.openai.conftest import sdk_over
from tests.service import Service, open_service


def test_a_text_goes_on_as_it_stands(service: Service, sdk: openai.OpenAI) -> None:
    service.runtime.will_answer(" upon a time")
    answer = sdk.completions.create(model="demo", prompt="Once", temperature=0.5, stop=["END"])
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (" upon a time", "stop")
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3
    call = service.runtime.history[-1]
    assert [message.content for message in call.messages] == ["Once"]
    assert (call.options.max_tokens, call.options.temperature) == (16, 0.5)


def test_several_prompts_have_n_texts_each(service: Service, sdk: openai.OpenAI) -> None:
    answer = sdk.completions.create(model="demo", prompt=["one", "two words"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == ["one", "one", "two words", "two words"]
    assert answer.usage
    assert answer.usage.prompt_tokens == 2 + 3  # a message counts one
    assert answer.usage.completion_tokens == 6


def test_one_request_takes_no_more_places_than_there_are(tmp_path: Path) -> None:
    """Nobody may wait for a place here: what asks for too many at once is refused."""
    with open_service(tmp_path, parallel_requests=2, waiting_requests=0) as service:
        asked: Any = {"model": "demo", "prompt": ["one two", "three"] * 4, "n": 2}
        sdk = sdk_over(service.client, strict=False)
        assert len(sdk.completions.create(**asked).choices) == 16
        pieces = [piece.choices[0] for piece in sdk.completions.create(**asked, stream=True)]
        assert len({choice.index for choice in pieces if choice.finish_reason}) == 16


def test_a_stream_ends_each_text_with_its_reason(service: Service) -> None:
    """OpenAI sends null until then, which its strict client does not know."""
    sdk = sdk_over(service.client, strict=False)
    stream = sdk.completions.create(
        model="demo",
        prompt="one two three",
        max_tokens=2,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    texts, reasons = {0: "", 1: ""}, []
    for piece in stream:
        for choice in piece.choices:
            texts[choice.index] += choice.text
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert texts == {0: "one two", 1: "one two"}
    assert reasons == ["length", "length"]
    assert piece.usage
    assert piece.usage.completion_tokens == 4


def test_probabilities_have_the_form_of_completions(sdk: openai.OpenAI) -> None:
    choice = sdk.completions.create(model="demo", prompt="one two", logprobs=2).choices[0]
    assert choice.logprobs
    tokens, offsets = choice.logprobs.tokens, choice.logprobs.text_offset
    assert tokens
    assert offsets
    assert "".join(tokens) == choice.text
    assert all(
        choice.text[at:].startswith(token) for token, at in zip(tokens, offsets, strict=True)
    )
    assert len(choice.logprobs.token_logprobs or []) == len(choice.logprobs.top_logprobs or [])


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["x"] * 33}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"model": "all-minilm-l6-v2-int8"}, "model"),
    ],
)
def test_what_cannot_be_honoured_is_named(
    service: Service, sdk: openai.OpenAI, members: dict[str, Any], param: str
) -> None:
    assert sdk
    body = {"model": "demo", "prompt": "x", **members}
    answer = service.client.post("/v1/completions", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"].startswith(param)
