"""responses as the stock SDK asks for them: every answer and every event is held to its types and its specification."""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from api.errors import BackEndFailed
from tests.fake_answers import Said
from tests.fakes import BreaksOff
from tests.service import Service

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "How warm it is somewhere.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
OSLO = '{"city": "Oslo"}'


class Age(BaseModel):
    """What is asked for as JSON."""

    years: int


@pytest.fixture
def knows_tools(service: Service) -> Service:
    """A service whose model can choose to call."""
    service.runtime._put("demo", 4096, {"chat", "json_schema", "tools"})
    return service


def said_to(service: Service) -> list[tuple[str, str]]:
    """What the model was told last."""
    return [(one.role, one.content) for one in service.runtime.history[-1].messages]


def test_a_text_is_answered_by_a_response(sdk: openai.OpenAI) -> None:
    answer = sdk.responses.create(model="demo", input="Hello there", metadata={"a": "b"}, user="me")
    assert (answer.output_text, answer.status) == ("Hello there", "completed")
    assert [item.type for item in answer.output] == ["message"]
    assert (answer.metadata, answer.user, answer.tool_choice) == ({"a": "b"}, "me", "auto")
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    told = answer.model_dump()
    assert told["receipt"]["model"] == "demo"
    never_null = ("truncation", "background", "service_tier", "top_logprobs", "presence_penalty")
    assert all(told[name] is not None for name in never_null)


def test_each_kind_of_item_is_told_to_the_model(knows_tools: Service, sdk: openai.OpenAI) -> None:
    items: Any = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "input_text", "text": "How warm"}]},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"id": "rs_1", "type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": OSLO},
        {"type": "function_call_output", "call_id": "call_1", "output": "4 degrees"},
    ]
    sdk.responses.create(
        model="demo", instructions="You are kind.", input=items, tools=[WEATHER], temperature=0.5
    )
    assert said_to(knows_tools) == [
        ("system", "You are kind."),
        ("system", "Be short."),
        ("user", "How warm"),
        ("assistant", "I look."),
        ("tool", "4 degrees"),
    ]
    call = knows_tools.runtime.history[-1]
    assert call.messages[3].tool_calls[0].arguments == OSLO
    assert call.options.temperature == 0.5
    assert call.options.tools
    assert call.options.tools[0]["function"]["parameters"] == WEATHER["parameters"]


def test_a_persona_holds_unless_instructions_say_otherwise(
    service: Service, sdk: openai.OpenAI
) -> None:
    persona = {"system": "You are Ada.", "parameters": {"temperature": 0.2}}
    service.client.post("/createModel/ada", json=persona).raise_for_status()
    assert sdk.responses.create(model="ada", input="Hello").temperature == 0.2
    assert said_to(service) == [("system", "You are Ada."), ("user", "Hello")]
    sdk.responses.create(model="ada", input="Hello", instructions="You are Bob.")
    assert said_to(service) == [("system", "You are Bob."), ("user", "Hello")]


def test_the_events_of_a_text_come_in_their_order(sdk: openai.OpenAI) -> None:
    events = list(sdk.responses.create(model="demo", input="Hello there", stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello there"


def test_a_stream_is_put_together_by_the_sdk(knows_tools: Service, sdk: openai.OpenAI) -> None:
    calls = [("weather", OSLO), ("weather", OSLO)]
    knows_tools.runtime.will_answer(
        Said("I look.", calls=calls, reasoning="Where is it that they ask about?")
    )
    with sdk.responses.stream(model="demo", input="Weather?", tools=[WEATHER]) as stream:
        events = list(stream)
        whole = stream.get_final_response()
    kinds = ["reasoning", "message", "function_call", "function_call"]
    assert [item.type for item in whole.output] == kinds
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.type for item in done] == kinds
    assert [one.arguments for one in whole.output if one.type == "function_call"] == [OSLO, OSLO]
    assert whole.output_text == "I look."
    reasoning = whole.output[0]
    assert reasoning.type == "reasoning"
    assert [part.text for part in reasoning.content or []] == ["Where is it that they ask about?"]
    assert whole.usage
    thought = whole.usage.output_tokens_details.reasoning_tokens
    assert 0 < thought <= whole.usage.output_tokens


@pytest.mark.parametrize("interleaved", [False, True])
def test_calls_that_are_written_side_by_side_end_as_two(
    knows_tools: Service, sdk: openai.OpenAI, interleaved: bool
) -> None:
    calls = [("weather", OSLO), ("weather", '{"city": "Rome"}')]
    knows_tools.runtime.will_answer(Said(calls=calls, interleaved=interleaved))
    with sdk.responses.stream(model="demo", input="Weather?", tools=[WEATHER]) as stream:
        kinds = [event.type.removeprefix("response.") for event in stream]
        whole = stream.get_final_response()
    told = [one.arguments for one in whole.output if one.type == "function_call"]
    assert told == [arguments for _, arguments in calls]
    one = ["output_item.added", *["function_call_arguments.delta"] * 2]
    one += ["function_call_arguments.done", "output_item.done"]
    assert kinds == ["created", "in_progress", *one, *one, "completed"]


def test_tools_that_a_template_does_not_know_are_not_told(
    service: Service, sdk: openai.OpenAI
) -> None:
    answer = sdk.responses.create(model="demo", input="Hello", tools=[WEATHER])
    assert "knows no tools" in answer.model_dump()["notice"]
    assert not service.runtime.history[-1].options.tools
    with pytest.raises(openai.BadRequestError):
        sdk.responses.create(model="demo", input="Hello", tools=[WEATHER], tool_choice="auto")


def test_an_agent_goes_on_by_the_id_of_its_last_response(
    knows_tools: Service, sdk: openai.OpenAI
) -> None:
    knows_tools.runtime.will_answer(Said(calls=[("weather", OSLO)]), "It is 4 degrees.")
    first = sdk.responses.create(model="demo", input="How warm is Oslo?", tools=[WEATHER])
    [call] = first.output
    assert call.type == "function_call"
    second = sdk.responses.create(
        model="demo",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "4"}],
        tools=[WEATHER],
    )
    assert second.output_text == "It is 4 degrees."
    assert second.previous_response_id == first.id
    third = sdk.responses.create(
        model="demo", previous_response_id=second.id, input="And tomorrow?", store=False
    )
    assert said_to(knows_tools) == [
        ("user", "How warm is Oslo?"),
        ("assistant", ""),
        ("tool", "4"),
        ("assistant", "It is 4 degrees."),
        ("user", "And tomorrow?"),
    ]
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(third.id)


def test_a_function_that_is_named_is_called_by_any_model(sdk: openai.OpenAI) -> None:
    answer = sdk.responses.create(
        model="demo",
        input="How warm is it?",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
    )
    [call] = answer.output
    assert call.type == "function_call"
    assert set(json.loads(call.arguments)) == {"city"}


def test_a_schema_holds_and_is_said_again(service: Service, sdk: openai.OpenAI) -> None:
    schema: Any = {"type": "object", "properties": {"years": {"type": "integer"}}}
    form: Any = {"type": "json_schema", "name": "age", "schema": schema, "strict": True}
    service.runtime.will_answer('{"years": 3}')
    answer = sdk.responses.create(model="demo", input="How old?", text={"format": form})
    assert answer.output_text == '{"years": 3}'
    assert service.runtime.history[-1].options.json_schema == schema
    assert answer.text
    assert answer.text.format
    assert answer.text.format.to_dict() == form
    service.runtime.will_answer('{"years": 4}')
    parsed = sdk.responses.parse(model="demo", input="How old?", text_format=Age).output_parsed
    assert parsed == Age(years=4)


def test_probabilities_are_told_where_they_are_asked_for(sdk: openai.OpenAI) -> None:
    asked: Any = {"model": "demo", "input": "Hello there", "top_logprobs": 2}
    asked["include"] = ["message.output_text.logprobs"]
    events = list(sdk.responses.create(**asked, stream=True))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(one.logprobs[0].token for one in deltas) == "Hello there"
    message = sdk.responses.create(**asked).output[0]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert [len(one.top_logprobs) for one in part.logprobs or []] == [2, 2]


def test_what_is_cut_off_is_incomplete(sdk: openai.OpenAI) -> None:
    asked: Any = {"model": "demo", "input": "one two three", "max_output_tokens": 2}
    answer = sdk.responses.create(**asked)
    assert (answer.status, answer.output_text) == ("incomplete", "one two")
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "max_output_tokens"
    last = list(sdk.responses.create(**asked, stream=True))[-1]
    assert last.type == "response.incomplete"
    message = last.response.output[0]
    assert message.type == "message"
    assert message.status == "incomplete"


def test_a_stream_that_fails_is_a_failed_response_and_raises(
    service: Service, sdk: openai.OpenAI
) -> None:
    service.runtime.will_answer(BreaksOff("half an", BackEndFailed("The model is gone.")))
    events: list[ResponseStreamEvent] = []
    with pytest.raises(openai.APIError, match="The model is gone"):
        events.extend(sdk.responses.create(model="demo", input="Hello", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error
    assert events[-1].response.error.message == "The model is gone."
    assert service.store.responses.get(events[-1].response.id, 0) is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"background": True}, "background"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"truncation": "auto"}, "truncation"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
    ({"tools": [WEATHER, WEATHER]}, "tools.1.name"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}},
        "tool_choice.name",
    ),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"include": ["everything"]}, "include.0"),
    ({"max_output_tokens": 900_000}, "max_output_tokens"),
    ({"input": []}, "input"),
    ({"input": [{"content": "Hello"}]}, "input.0.type"),
    ({"input": [{"type": "computer_call", "id": "x"}]}, "input.0.type"),
    (
        {"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]},
        "input.0.call_id",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
        "input.0.content.0.type",
    ),
    ({"previous_response_id": "resp_gone"}, "previous_response_id"),
]


def test_what_cannot_be_honoured_is_named(sdk: openai.OpenAI) -> None:
    for members, param in REFUSED:
        asked: Any = {"model": "demo", "input": "Hello", **members}
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.responses.create(**asked)
        assert caught.value.param == param, caught.value.message


def test_what_is_kept_is_read_listed_and_forgotten(sdk: openai.OpenAI) -> None:
    texts = [f"text {number}" for number in range(5)]
    items: Any = [{"role": "user", "content": text} for text in texts]
    made = sdk.responses.create(model="demo", input=items)
    read: Response = sdk.responses.retrieve(made.id)
    assert read.to_dict() == made.to_dict()
    listed = list(sdk.responses.input_items.list(made.id, limit=2, order="asc"))
    contents = [one.content[0] for one in listed if one.type == "message"]
    assert [one.text for one in contents if one.type == "input_text"] == texts
    newest = sdk.responses.input_items.list(made.id, limit=1).data[0]
    assert newest.id == listed[-1].id
    with pytest.raises(openai.BadRequestError):
        sdk.responses.cancel(made.id)
    again: Any = [{"type": "item_reference", "id": listed[0].id}]
    assert sdk.responses.create(model="demo", input=again).output_text == texts[0]
    sdk.responses.delete(made.id)
    for gone in (sdk.responses.retrieve, sdk.responses.delete, sdk.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            gone(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="demo", input="On", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"


def test_what_is_referred_to_has_an_end(sdk: openai.OpenAI) -> None:
    long: Any = {"type": "message", "role": "user", "id": "msg_long", "content": "long" * 90_000}
    sdk.responses.create(model="demo", input=[long], max_output_tokens=1)
    again: Any = [{"type": "item_reference", "id": "msg_long"}] * 100
    with pytest.raises(openai.BadRequestError, match="Refer to fewer"):
        sdk.responses.create(model="demo", input=again)
