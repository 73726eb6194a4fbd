"""Tools, structured output and what a model thinks, as the stock SDK asks for them."""

import contextlib
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from api.rag.prompts import REFUSAL
from tests.fake_answers import Said
from tests.service import Service

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How warm is it in Oslo?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How warm it is somewhere.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}
OSLO = '{"city": "Oslo"}'


@pytest.fixture
def knows_tools(service: Service) -> Service:
    """A service whose model can choose to call."""
    service.runtime._put("demo", 4096, {"chat", "json_schema", "tools"})
    return service


def test_a_named_function_is_called_by_any_model(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="demo",
        messages=ASKED,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    [choice] = answer.choices
    assert choice.message.content is None
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


def test_a_model_may_call_several_functions(knows_tools: Service, sdk: openai.OpenAI) -> None:
    said = Said(calls=[("weather", OSLO), ("weather", OSLO)])
    knows_tools.runtime.will_answer(said, said)
    answer = sdk.chat.completions.create(model="demo", messages=ASKED, tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls if call.type == "function"] == [OSLO, OSLO]
    stream = sdk.chat.completions.create(model="demo", messages=ASKED, tools=[WEATHER], stream=True)
    told: dict[int, dict[str, Any]] = {}
    for chunk in stream:
        for piece in chunk.choices[0].delta.tool_calls or []:
            known = told.setdefault(piece.index, {"ids": [], "names": [], "arguments": ""})
            known["ids"] += [piece.id] if piece.id else []
            assert piece.function
            known["names"] += [piece.function.name] if piece.function.name else []
            known["arguments"] += piece.function.arguments or ""
    assert [one["arguments"] for one in told.values()] == [OSLO, OSLO]
    assert all((len(one["ids"]), one["names"]) == (1, ["weather"]) for one in told.values())


def test_a_result_is_handed_in(knows_tools: Service, sdk: openai.OpenAI) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": OSLO}}
    turns: Any = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"},
    ]
    answer = sdk.chat.completions.create(model="demo", messages=turns, tools=[WEATHER])
    assert answer.choices[0].message.content == "4 degrees"
    sent = knows_tools.runtime.history[-1].messages
    assert (sent[-1].tool_call_id, sent[-2].tool_calls[0].arguments) == ("call_1", OSLO)


def test_a_model_that_knows_no_tools_answers_and_says_so(sdk: openai.OpenAI) -> None:
    """Open WebUI offers its own with each question and names no choice."""
    answer = sdk.chat.completions.create(model="demo", messages=ASKED, tools=[WEATHER])
    assert answer.choices[0].message.content == "How warm is it in Oslo?"
    assert "knows no tools" in answer.model_dump()["notice"]
    stream = sdk.chat.completions.create(model="demo", messages=ASKED, tools=[WEATHER], stream=True)
    assert all("knows no tools" in chunk.model_dump()["notice"] for chunk in stream)


def test_a_model_that_knows_no_tools_cannot_choose(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(
            model="demo", messages=ASKED, tools=[WEATHER], tool_choice="auto"
        )
    assert caught.value.param == "tools"
    assert "tool_choice" in caught.value.message


def test_what_a_model_thinks_is_no_part_of_its_answer(service: Service, sdk: openai.OpenAI) -> None:
    said = Said("Four.", reasoning="Two and two.")
    service.runtime.will_answer(said, said)
    message = sdk.chat.completions.create(model="demo", messages=ASKED).choices[0].message
    assert message.content == "Four."
    assert message.model_dump()["reasoning_content"] == "Two and two."
    stream = sdk.chat.completions.create(model="demo", messages=ASKED, stream=True)
    thought = [chunk.choices[0].delta.model_dump().get("reasoning_content") for chunk in stream]
    assert "".join(filter(None, thought)) == "Two and two."


def test_probabilities_are_told_with_what_might_have_been(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="demo", messages=ASKED, logprobs=True, top_logprobs=2
    )
    told = answer.choices[0].logprobs
    assert told
    assert told.content
    assert "".join(one.token for one in told.content) == ASKED[0]["content"]
    assert {len(one.top_logprobs) for one in told.content} == {2}


def test_a_schema_reaches_the_model(service: Service, sdk: openai.OpenAI) -> None:
    schema: dict[str, object] = {"type": "object", "properties": {"years": {"type": "integer"}}}
    service.runtime.will_answer('{"years": 3}')
    answer = sdk.chat.completions.create(
        model="demo",
        messages=ASKED,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "age", "schema": schema, "strict": True},
        },
    )
    assert answer.choices[0].message.content == '{"years": 3}'
    assert service.runtime.history[-1].options.json_schema == schema


def test_an_answer_that_does_not_hold_its_schema_is_a_failure(
    service: Service, sdk: openai.OpenAI
) -> None:
    schema = {"type": "object", "properties": {"day": {"pattern": "^[0-9]{2}$"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "day", "schema": schema}}

    def asked(**more: Any) -> Any:
        service.runtime.will_answer('{"day": "1st"}')
        return sdk.chat.completions.create(
            model="demo", messages=ASKED, response_format=form, **more
        )

    with pytest.raises(openai.InternalServerError, match="does not match") as caught:
        asked()
    assert (caught.value.status_code, caught.value.code) == (502, "invalid_answer")
    assert caught.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.APIError, match="does not match"):
        list(asked(stream=True))
    assert asked(stop=["}"]).choices[0].message.content == '{"day": "1st"', (
        "cut where it was told to"
    )


class Age(BaseModel):
    years: int


def test_an_answer_is_parsed_into_a_class(service: Service, sdk: openai.OpenAI) -> None:
    service.runtime.will_answer('{"years": 3}')
    answer = sdk.chat.completions.parse(model="demo", messages=ASKED, response_format=Age)
    assert answer.choices[0].message.parsed == Age(years=3)


def test_a_call_that_does_not_hold_is_not_asked_for_again(
    service: Service, sdk: openai.OpenAI
) -> None:
    service.runtime.will_answer('{"name": "weather", "arguments": {"city": 4}}')
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.chat.completions.create(
            model="demo", messages=ASKED, tools=[WEATHER], tool_choice="required"
        )
    assert (caught.value.status_code, caught.value.code) == (502, "invalid_call")
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_longer_than_the_context_is_named_as_it_was_sent(
    sdk: openai.OpenAI, name: str, stream: bool
) -> None:
    longest: Any = {name: 900_000}
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="demo", messages=ASKED, stream=stream, **longest)
    assert caught.value.param == name
    assert caught.value.message.count(name) == 1


def test_where_a_form_is_asked_for_what_documents_do_not_hold_is_a_refusal(
    sdk: openai.OpenAI,
) -> None:
    everywhere = {"documents": ["*"]}  # there are none
    forced: Any = {"tools": [WEATHER], "tool_choice": "required"}
    for form in (forced, {"response_format": {"type": "json_object"}}):
        asked: Any = {"model": "demo", "messages": ASKED, "extra_body": everywhere, **form}
        message = sdk.chat.completions.create(**asked).choices[0].message
        assert (message.content, message.refusal) == (None, REFUSAL)
        with sdk.chat.completions.stream(**asked) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.refusal == REFUSAL
        assert not message.content
    plain = sdk.chat.completions.create(model="demo", messages=ASKED, extra_body=everywhere)
    assert (plain.choices[0].message.content, plain.choices[0].message.refusal) == (REFUSAL, None)


def coded(pattern: str, **function: Any) -> Any:
    """A tool that takes a code of a pattern."""
    parameters = {"type": "object", "properties": {"code": {"type": "string", "pattern": pattern}}}
    return {
        "type": "function",
        "function": {"name": "open", "parameters": parameters, **function},
    }


def test_arguments_have_the_pattern_of_their_schema(service: Service, sdk: openai.OpenAI) -> None:
    def called(tool: Any) -> str:
        service.runtime.will_answer('{"name": "open", "arguments": {"code": "12a"}}')
        answer = sdk.chat.completions.create(
            model="demo", messages=ASKED, tools=[tool], tool_choice="required"
        )
        calls = answer.choices[0].message.tool_calls
        assert calls
        return str(calls[0].to_dict()["function"])

    assert "12a" in called(coded("^[0-9]+a$", strict=True))
    with pytest.raises(openai.InternalServerError, match="does not match") as caught:
        called(coded("^[0-9]+$"))
    assert caught.value.code == "invalid_call"
    service.runtime._answers.clear()
    with pytest.raises(openai.BadRequestError, match="no pattern that is read") as refused:
        called(coded("^(?=b)"))
    assert refused.value.param == "tools"
    for tool, choice, is_taken in (
        (coded("^(?=b)"), "none", True),
        (coded("^(?=b)", strict=True), "none", False),
    ):
        call: Any = {"model": "demo", "messages": ASKED, "tools": [tool], "tool_choice": choice}
        with contextlib.nullcontext() if is_taken else pytest.raises(openai.BadRequestError):
            sdk.chat.completions.create(**call)
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"pattern": "(?=b)"}},
    }
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model="demo", messages=ASKED, response_format=form)
    assert refused.value.param == "response_format"
