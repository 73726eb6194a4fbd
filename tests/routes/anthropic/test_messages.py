"""/v1/messages as Anthropic's stock SDK asks for it, which validates every answer and every event of a stream."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, TextBlock, ThinkingBlock, ToolParam, ToolUseBlock

from api.errors import BackEndFailed
from api.routes.anthropic.turns import Turn, conversation
from api.runtime import Message, Options, ToolCall
from tests.fake_answers import Said
from tests.fakes import BreaksOff
from tests.service import ADDRESS, Service, open_service
from tests.tiny_vision import png

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello there"}]
ORLO = "Orlo is a light that lasts three years."
ASKED: list[MessageParam] = [{"role": "user", "content": "How long does Orlo last?"}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "How warm it is somewhere.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
}
OSLO = '{"city": "Oslo"}'
KEY = "the-first-admin"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a key, a document, and a model that can choose to call; no test changes it."""
    with open_service(tmp_path_factory.mktemp("messages"), api_key=KEY) as service:
        service.runtime._put("demo", 4096, {"chat", "json_schema", "tools"})
        headers = {"Authorization": f"Bearer {KEY}"}
        files = {"file": ("orlo.txt", ORLO, "text/plain")}
        path = "/importDocument?modelName=demo"
        service.client.post(path, files=files, headers=headers).raise_for_status()
        yield service


def sdk_over(service: Service, key: str = KEY) -> anthropic.Anthropic:
    """Anthropic's client without repeats, which takes nothing that its types do not say."""
    return anthropic.Anthropic(
        api_key=key,
        base_url=ADDRESS,
        http_client=service.client,
        max_retries=0,
        _strict_response_validation=True,
    )


@pytest.fixture
def sdk(service: Service) -> anthropic.Anthropic:
    return sdk_over(service)


def asked(service: Service) -> tuple[tuple[Message, ...], Options]:
    """What the model was told last."""
    call = service.runtime.history[-1]
    return call.messages, call.options


def test_an_answer_is_a_message(service: Service, sdk: anthropic.Anthropic) -> None:
    answer = sdk.messages.create(
        model="demo",
        max_tokens=20,
        messages=HELLO,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"],
        metadata={"user_id": "somebody"},
        extra_body={
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 7,
        },  # SDKs before 2 have them as arguments
    )
    assert answer.content == [TextBlock(type="text", text="Hello there")]
    assert (answer.role, answer.model, answer.stop_reason) == ("assistant", "demo", "end_turn")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 2
    assert answer._request_id
    messages, options = asked(service)
    assert messages == (Message("system", "Be brief."), Message("user", "Hello there"))
    said = (options.temperature, options.top_p, options.top_k, options.stop, options.max_tokens)
    assert said == (0.5, 0.9, 7, ("END",), 20)


def test_a_stream_comes_in_the_order_of_its_events(
    service: Service, sdk: anthropic.Anthropic
) -> None:
    service.runtime.will_answer(Said("Hello there", reasoning="Who asks?"))
    with sdk.messages.stream(model="demo", max_tokens=20, messages=HELLO) as stream:
        events = [event.type for event in stream if event.type not in ("text", "thinking")]
        answer = stream.get_final_message()
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    text = ["content_block_start", *["content_block_delta"] * 2, "content_block_stop"]
    assert events == ["message_start", *block, *text, "message_delta", "message_stop"]
    thought, said = answer.content
    assert thought == ThinkingBlock(type="thinking", thinking="Who asks?", signature="")
    assert isinstance(said, TextBlock)
    assert said.text == "Hello there"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 2


def test_each_frame_names_its_event(service: Service) -> None:
    body = {"model": "demo", "max_tokens": 5, "messages": HELLO, "stream": True}
    answer = service.client.post("/v1/messages", json=body, headers={"x-api-key": KEY})
    frames = [frame.split("\n") for frame in answer.text.strip().split("\n\n")]
    for event, data in frames:
        assert event == f"event: {json.loads(data.removeprefix('data: '))['type']}"
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


def test_an_answer_that_finds_no_more_room_ends_early(
    service: Service, sdk: anthropic.Anthropic
) -> None:
    """Clients name their own model's longest answer, whatever the context is."""
    answer = sdk.messages.create(model="demo", max_tokens=32_000, messages=HELLO, timeout=20)
    assert answer.stop_reason == "end_turn"
    assert sdk.messages.create(model="demo", max_tokens=1, messages=HELLO).stop_reason == (
        "max_tokens"
    )


def test_several_calls_whole_and_streamed(service: Service, sdk: anthropic.Anthropic) -> None:
    calls = [("weather", OSLO), ("weather", '{"city": "Rome"}')]
    said = Said("Let me see.", calls=calls)
    service.runtime.will_answer(said, Said("Let me see.", calls=calls, interleaved=True))
    whole = sdk.messages.create(model="demo", max_tokens=50, messages=HELLO, tools=[WEATHER])
    with sdk.messages.stream(
        model="demo", max_tokens=50, messages=HELLO, tools=[WEATHER]
    ) as stream:
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        text, *blocks = answer.content
        assert isinstance(text, TextBlock)
        cities = [block.input["city"] for block in blocks if isinstance(block, ToolUseBlock)]
        assert cities == ["Oslo", "Rome"]
        assert answer.stop_reason == "tool_use"
    _, options = asked(service)
    assert options.tools
    assert options.tools[0]["function"]["parameters"] == WEATHER["input_schema"]


def test_tools_that_a_template_does_not_know_are_not_told(
    service: Service, sdk: anthropic.Anthropic
) -> None:
    service.runtime._put("plain", 4096, {"chat", "json_schema"})
    said: Any = {"model": "plain", "max_tokens": 50, "messages": HELLO, "tools": [WEATHER]}
    answer = sdk.messages.create(**said)
    assert "knows no tools" in answer.model_dump()["notice"]
    with sdk.messages.stream(**said) as stream:
        assert "knows no tools" in stream.get_final_message().model_dump()["notice"]
    assert sdk.messages.count_tokens(model="plain", messages=HELLO, tools=[WEATHER])
    with pytest.raises(anthropic.BadRequestError):
        sdk.messages.create(**said, tool_choice={"type": "auto"})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('{"city": "\\ud83d Oslo"}', {"city": "? Oslo"}),
        ('{"city": NaN}', {}),
        ('{"city": 1e999}', {}),
        ('["Oslo"]', {}),
        ('{"city": ' + "[" * 10_000, {}),
        ('{"city": "Os', {}),
    ],
)
def test_arguments_that_json_cannot_tell_fail_no_answer(
    service: Service, sdk: anthropic.Anthropic, written: str, told: dict[str, str]
) -> None:
    service.runtime.will_answer(Said(calls=[("weather", written)]))
    answer = sdk.messages.create(model="demo", max_tokens=50, messages=HELLO, tools=[WEATHER])
    (call,) = answer.content
    assert isinstance(call, ToolUseBlock)
    assert call.input == told


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_a_call_that_must_be_is_made(sdk: anthropic.Anthropic, choice: Any) -> None:
    answer = sdk.messages.create(
        model="demo", max_tokens=50, messages=HELLO, tools=[WEATHER], tool_choice=choice
    )
    (call,) = answer.content
    assert isinstance(call, ToolUseBlock)
    assert (call.name, set(call.input)) == ("weather", {"city"})
    assert answer.stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("choice", "told", "in_parallel"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
        ({"type": "none"}, "none", None),
    ],
)
def test_a_call_that_may_be_is_left_to_the_model(
    service: Service, sdk: anthropic.Anthropic, choice: Any, told: str, in_parallel: bool | None
) -> None:
    sdk.messages.create(
        model="demo", max_tokens=50, messages=HELLO, tools=[WEATHER], tool_choice=choice
    )
    _, options = asked(service)
    assert (options.tool_choice, options.parallel_tool_calls) == (told, in_parallel)


def test_the_results_of_calls_stand_before_what_the_user_says(
    service: Service, sdk: anthropic.Anthropic
) -> None:
    turns: Any = [
        {"role": "user", "content": [{"type": "text", "text": "How warm?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": ""},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "call_2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "call_1",
                    "content": [{"type": "text", "text": "7"}, {"type": "text", "text": "degrees"}],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "call_2",
                    "content": "no city",
                    "is_error": True,
                },
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    sdk.messages.create(model="demo", max_tokens=50, messages=turns, tools=[WEATHER])
    messages, _ = asked(service)
    assert messages[1:] == (
        Message(
            "assistant",
            "I look.",
            tool_calls=(ToolCall("call_1", "weather", OSLO), ToolCall("call_2", "weather", "{}")),
        ),
        Message("tool", "7\ndegrees", tool_call_id="call_1"),
        Message("tool", "Error: no city", tool_call_id="call_2"),
        Message("user", "And now?"),
    )


def test_an_answer_keeps_to_a_schema(sdk: anthropic.Anthropic) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
    }
    answer = sdk.messages.create(
        model="demo",
        max_tokens=50,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    (block,) = answer.content
    assert isinstance(block, TextBlock)
    assert set(json.loads(block.text)) == {"n"}


def test_documents_are_cited_by_their_pages(service: Service, sdk: anthropic.Anthropic) -> None:
    more: Any = {"extra_body": {"documents": ["*"]}}
    service.runtime.will_answer("", f"{ORLO} [1]", "", f"{ORLO} [1]")
    whole = sdk.messages.create(model="demo", max_tokens=50, messages=ASKED, **more)
    with sdk.messages.stream(model="demo", max_tokens=50, messages=ASKED, **more) as stream:
        streamed = stream.get_final_message()
    for answer in (whole, streamed):
        (block,) = answer.content
        assert isinstance(block, TextBlock)
        (citation,) = block.citations or []
        assert citation.type == "page_location"
        assert (citation.document_title, citation.start_page_number) == ("orlo.txt", 1)
        assert citation.cited_text in ORLO
    assert whole.model_dump()["receipt"]["model"] == "demo"


def test_tokens_are_counted_with_the_tools(sdk: anthropic.Anthropic) -> None:
    plain = sdk.messages.count_tokens(model="demo", messages=HELLO).input_tokens
    told = sdk.messages.count_tokens(model="demo", messages=HELLO, system="Be brief.")
    tools = sdk.messages.count_tokens(model="demo", messages=HELLO, tools=[WEATHER])
    assert 0 < plain < told.input_tokens < tools.input_tokens


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"container": "c"}, "container: "),
        ({"mcp_servers": [{"type": "url", "url": "x", "name": "y"}]}, "mcp_servers: "),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type: "),
        ({"tools": [{"name": "x", "input_schema": {}}]}, "tools.0.input_schema: "),
        ({"tools": [WEATHER, WEATHER]}, "tools.1.name: "),
        ({"tool_choice": {"type": "any"}}, "tool_choice: "),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name: "),
        ({"messages": []}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": 1}}}},
            "output_config.format.schema: ",
        ),
    ],
)
def test_what_cannot_be_honoured_is_named(
    service: Service, members: dict[str, Any], said: str
) -> None:
    body = {"model": "demo", "max_tokens": 5, "messages": HELLO, **members}
    answer = service.client.post("/v1/messages", json=body, headers={"x-api-key": KEY})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert said in answer.json()["error"]["message"]


IMAGE = {"type": "base64", "media_type": "image/png", "data": b64encode(png()).decode()}


@pytest.mark.parametrize(
    ("role", "block", "said"),
    [
        ("user", {"type": "image", "source": IMAGE}, "messages.0.content.0.type: This model"),
        ("user", {"type": "document", "source": {}}, "messages.0.content.0.type: "),
        ("user", {"type": "tool_use", "id": "x", "name": "y"}, "messages.0.content.0.type: "),
        ("assistant", {"type": "tool_result", "tool_use_id": "x"}, "messages.0.content.0.type: "),
        ("user", {"type": "tool_result", "tool_use_id": "x"}, "messages.0.content.0.tool_use_id: "),
        ("assistant", {"type": "redacted_thinking", "data": "x"}, "messages.0.content: "),
    ],
)
def test_a_block_that_cannot_be_there_is_named(
    service: Service, role: str, block: dict[str, Any], said: str
) -> None:
    turns = [{"role": role, "content": [block]}]
    body = {"model": "demo", "max_tokens": 5, "messages": turns}
    answer = service.client.post("/v1/messages", json=body, headers={"x-api-key": KEY})
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_a_model_that_sees_is_shown_what_the_user_and_a_tool_show() -> None:
    image = {"type": "image", "source": IMAGE}
    called = {"type": "tool_use", "id": "x", "name": "look", "input": {}}
    shown = {"type": "tool_result", "tool_use_id": "x", "content": [image]}
    said = [
        {"role": "assistant", "content": [called]},
        {"role": "user", "content": [shown, image, {"type": "text", "text": "And?"}]},
    ]
    turns = [Turn.model_validate(one) for one in said]
    _, result, user = conversation(None, turns, sees=True)
    assert (result.role, len(user.images), user.content) == ("tool", 2, "And?")


def test_refusals_are_the_sdks_own_errors(service: Service, sdk: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        sdk.messages.create(model="nobody", max_tokens=5, messages=HELLO)
    assert caught.value.type == "not_found_error"
    assert caught.value.request_id
    with pytest.raises(anthropic.AuthenticationError) as refused:
        sdk_over(service, "guessed").messages.create(model="demo", max_tokens=5, messages=HELLO)
    assert refused.value.type == "authentication_error"
    long: list[MessageParam] = [{"role": "user", "content": "word " * 5000}]
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        sdk.messages.create(model="demo", max_tokens=5, messages=long)


def test_a_stream_that_fails_raises_its_message(service: Service, sdk: anthropic.Anthropic) -> None:
    service.runtime.will_answer(BreaksOff("half an", BackEndFailed("The model is gone.")))
    stream = sdk.messages.create(model="demo", max_tokens=50, messages=HELLO, stream=True)
    with pytest.raises(anthropic.APIError, match="The model is gone"):
        list(stream)


def test_a_defect_has_the_form_too(service: Service, sdk: anthropic.Anthropic) -> None:
    service.runtime.will_answer(RuntimeError("nobody expects this"))
    with pytest.raises(anthropic.InternalServerError) as caught:
        sdk.messages.create(model="demo", max_tokens=5, messages=HELLO)
    assert caught.value.type == "api_error"
    assert "nobody expects" not in caught.value.message


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v1/messages", 405, "takes POST"),
        ("POST", "/v1/messages/batches", 404, "/v1/messages/batches"),
        ("POST", "/v1/v1/messages", 404, "leave it out of its base URL"),
    ],
)
def test_a_path_that_is_none(
    service: Service, method: str, path: str, status: int, said: str
) -> None:
    answer = service.client.request(method, path, headers={"x-api-key": KEY})
    assert answer.status_code == status
    assert answer.json()["type"] == "error"
    assert said in answer.json()["error"]["message"]


def test_openais_paths_keep_their_form(service: Service) -> None:
    answer = service.client.get("/v1/messagesandmore", headers={"x-api-key": KEY})
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
