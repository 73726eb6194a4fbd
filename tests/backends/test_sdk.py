"""OpenAI's stock SDK, which validates all that it gets, over models that run on a back end."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.backends.stand_in import KEY, StandIn
from tests.routes.openai.conftest import sdk_over
from tests.service import open_service

HELLO: Any = [{"role": "user", "content": "Hello"}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: Any = {"name": "weather", "parameters": CITY}
ROME = {"city": "Rome"}


@pytest.fixture(scope="module")
def sdk(
    _standing_in: tuple[StandIn, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[openai.OpenAI]:
    """Over a service that has a back end of all these models."""
    models: dict[str, Any] = {name: name for name in ("big", "json", "calling")}
    models["vectors"] = {"remote": "vectors", "capabilities": ["embed"]}
    said = {"base_url": f"{_standing_in[1]}/generic/v1", "models": models, "key": KEY}
    with open_service(tmp_path_factory.mktemp("sdk")) as service:
        assert service.client.post("/backends/cellar", json=said).status_code == 201
        yield sdk_over(service.client)


def lists(sdk: openai.OpenAI) -> None:
    assert {"big", "json", "calling", "vectors"} <= {one.id for one in sdk.models.list()}
    assert sdk.models.retrieve("big").owned_by == "base"


def streams(sdk: openai.OpenAI) -> None:
    options: Any = {"stream_options": {"include_usage": True}}
    chunks = list(sdk.chat.completions.create(model="big", messages=HELLO, stream=True, **options))
    said = [one.choices[0].delta.content or "" for one in chunks if one.choices]
    assert "".join(said) == "Hello there"
    assert chunks[-1].usage
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 2)


def holds_a_schema(sdk: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    answer = sdk.chat.completions.create(model="json", messages=HELLO, response_format=wanted)
    assert json.loads(answer.choices[0].message.content or "") == ROME


def calls(sdk: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": FUNCTION}
    answer = sdk.chat.completions.create(model="calling", messages=HELLO, tools=[tool])
    [choice] = answer.choices
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert (choice.finish_reason, json.loads(call.function.arguments)) == ("tool_calls", ROME)


def responds(sdk: openai.OpenAI) -> None:
    assert sdk.responses.create(model="big", input="Hello").output_text == "Hello there"
    tool: Any = {"type": "function", "strict": True, **FUNCTION}
    stream = sdk.responses.create(model="calling", input="Hello", tools=[tool], stream=True)
    done = [event for event in stream if event.type == "response.completed"]
    called = [one for one in done[0].response.output if one.type == "function_call"]
    assert [json.loads(one.arguments) for one in called] == [ROME]


def embeds(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="vectors", input=["a", "b"], encoding_format="float")
    assert answer.data[0].embedding == pytest.approx([0.6, 0.8])


def completes(sdk: openai.OpenAI) -> None:
    assert sdk.completions.create(model="big", prompt="Hello").choices[0].text == "Hello there"


@pytest.mark.parametrize(
    "use", [lists, streams, holds_a_schema, calls, responds, embeds, completes]
)
def test_the_stock_sdk_notices_nothing(sdk: openai.OpenAI, use: Callable[..., None]) -> None:
    use(sdk)
