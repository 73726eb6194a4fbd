"""Tools and formats as requests say them."""

from typing import Any

import pytest

from api.errors import InvalidOption
from api.routes.openai.chat import ChatRequest
from api.runtime import Options

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
HELLO = [{"role": "user", "content": "Hello"}]


def tool(name: str, **members: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **members}}


WEATHER = tool("weather", description="Tells it.", parameters=PARAMETERS, strict=True)


def options(**members: Any) -> Options:
    return ChatRequest.model_validate({"model": "demo", "messages": HELLO, **members}).options()


def test_tools_are_told_as_they_are() -> None:
    said = options(tools=[WEATHER, tool("now")], parallel_tool_calls=False)
    assert said.tools == (WEATHER, tool("now", parameters={"type": "object", "properties": {}}))
    assert (said.tool_choice, said.parallel_tool_calls) == (None, False)


@pytest.mark.parametrize(
    ("choice", "told", "names"),
    [
        ("auto", "auto", ["weather", "now"]),
        ("none", "none", ["weather", "now"]),
        ("required", "required", ["weather", "now"]),
        (tool("now"), "now", ["weather", "now"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [tool("now")]},
            },
            "required",
            ["now"],
        ),
    ],
)
def test_each_choice_is_told(choice: object, told: str, names: list[str]) -> None:
    said = options(tools=[WEATHER, tool("now")], tool_choice=choice)
    assert said.tools is not None
    assert [one["function"]["name"] for one in said.tools] == names
    assert said.tool_choice == told


def test_a_choice_among_no_tools_is_as_none_told() -> None:
    assert options(tools=[], tool_choice="auto", parallel_tool_calls=True) == Options()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [WEATHER, WEATHER]}, "tools.1.function.name"),
        ({"tools": [tool("x", parameters={"type": "array"})]}, "tools.0.function.parameters"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": tool("rain")}, "tool_choice.function.name"),
        ({"top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_what_makes_no_sense_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        options(**members)
    assert caught.value.extra["where"] == param


def test_a_format_is_a_schema() -> None:
    by_schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": PARAMETERS}}
    assert options(response_format=by_schema).json_schema == PARAMETERS
    assert options(response_format={"type": "json_object"}).json_schema == {"type": "object"}
    assert options(response_format={"type": "text"}).json_schema is None


def test_probabilities_and_biases_are_told() -> None:
    said = options(logprobs=True, top_logprobs=3, logit_bias={"17": -100})
    assert (said.logprobs, said.logit_bias) == (3, {17: -100.0})
    assert options(logprobs=True).logprobs == 0
    assert options(logprobs=False).logprobs is None


@pytest.mark.parametrize(("effort", "thinks"), [(None, None), ("minimal", False), ("low", True)])
def test_an_effort_is_whether_a_model_thinks(effort: str | None, thinks: bool | None) -> None:
    assert options(reasoning_effort=effort).think is thinks
