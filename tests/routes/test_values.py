"""Values, calls and functions over HTTP, with a model whose answers a test lines up."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fakes import FakeRuntime, Said
from tests.service import Service, open_service

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = '{"name": "Ada", "age": 36}'
AREA = """
def area(width: float, height: float = 1.0) -> float:
    "The area of a rectangle."
    return width * height
"""


PAGE = Path(__file__).parents[2] / "docs" / "values.md"
CURLS = re.findall(r'curl "\$API(\S+)" .*?<<\'JSON\'\n(.*?)\nJSON', PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all of these, whose sandbox opens once."""
    with open_service(tmp_path_factory.mktemp("values")) as service:
        tooled = FakeRuntime(tools=True)
        asyncio.run(tooled.rename("demo", "tooled"))
        service.runtime.add_models_of(tooled)
        yield service


@pytest.fixture
def service(opened: Service) -> Service:
    """The service, whose model nobody has asked yet."""
    opened.runtime.history.clear()
    return opened


def ask(service: Service, **fields: Any) -> Any:
    """The answer of `/generate`, which is one."""
    sent = {"modelName": "demo", "user_prompt": "Who is it?", **fields}
    response = service.client.post("/generate", json=sent)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_schema_gives_a_value(service: Service) -> None:
    service.runtime.will_answer(ADA)
    answer = ask(service, response_schema=SCHEMA)
    assert (answer["value"], answer["reason"]) == ({"name": "Ada", "age": 36}, None)
    (call,) = service.runtime.history
    assert call.options.json_schema == SCHEMA
    assert "Who is it?" in call.messages[-1].content
    assert json.dumps(SCHEMA) in call.messages[-1].content


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("I would rather not.", "no JSON"),
        ('{"name": "Ada"}', "'age' is a required property"),
        ('{"name": "Ada", "age": 1e999}', "too large"),
        ('{"name": "\\ud800", "age": 1}', "half a character"),
        ("[" * 70 + "]" * 70, "deeper than 64"),
        ('{"name": "Ada", "age": NaN}', "no JSON"),
    ],
)
def test_what_does_not_hold_the_schema_is_no_value_whatever_the_back_end_promised(
    service: Service, said: str, why: str
) -> None:
    service.runtime.will_answer(said)
    answer = ask(service, response_schema=SCHEMA)
    assert answer["value"] is None
    assert why in answer["reason"]


def test_a_value_has_the_pattern_of_its_schema(service: Service) -> None:
    schema = {"type": "string", "pattern": "^[0-9]{4}$"}
    service.runtime.will_answer('"1843"', '"18430"')
    assert ask(service, response_schema=schema)["value"] == "1843"
    answer = ask(service, response_schema=schema)
    assert answer["value"] is None
    assert "does not match" in answer["reason"]
    sent = {"modelName": "demo", "user_prompt": "When?", "response_schema": {"pattern": "(?=a)"}}
    refused = service.client.post("/generate", json=sent)
    assert refused.status_code == 422
    assert refused.json()["where"] == "response_schema"


def test_a_value_that_is_cut_off_says_so(service: Service) -> None:
    service.runtime.will_answer('{"name": "Ada", "age":')
    answer = ask(service, response_schema=SCHEMA, max_tokens=2)
    assert answer["value"] is None
    assert "max_tokens" in answer["reason"]


def test_after_chat_the_value_is_read_out_of_a_free_answer(service: Service) -> None:
    service.runtime.will_answer("It is Ada, who is 36.", f"```json\n{ADA}\n```")
    answer = ask(service, response_schema=SCHEMA, response_after_chat=True)
    assert answer["message"] == "It is Ada, who is 36."
    assert answer["value"] == {"name": "Ada", "age": 36}
    first, second = service.runtime.history
    assert first.options.json_schema is None
    assert second.options.json_schema == SCHEMA
    assert "It is Ada, who is 36." in second.messages[-1].content


def test_a_template_asks_in_words_of_ones_own(service: Service) -> None:
    service.runtime.will_answer("Ada", ADA)
    template = "{answer} answers {question}. Fill in {{this}}: {schema}"
    ask(service, response_schema=SCHEMA, response_after_chat=True, answer_template=template)
    said = service.runtime.history[-1].messages[-1].content
    assert said == f"Ada answers Who is it?. Fill in {{this}}: {json.dumps(SCHEMA)}"


def test_functions_are_called_and_run(service: Service) -> None:
    service.runtime.will_answer('{"name": "area", "arguments": {"width": 3}}')
    answer = ask(service, functions=[AREA], execute_functions=True)
    assert answer["calls"] == [{"name": "area", "arguments": {"width": 3}, "reason": None}]
    assert answer["values"] == [3.0]


def test_a_question_that_needs_no_function_is_answered(service: Service) -> None:
    service.runtime.will_answer('{"answer": "Good day."}')
    answer = ask(service, functions=[AREA], execute_functions=True)
    assert (answer["message"], answer["calls"], answer["values"]) == ("Good day.", [], [])


def test_implement_writes_a_function_until_it_returns_what_it_must(service: Service) -> None:
    service.runtime.will_answer(
        "```python\ndef area(width, height=1.0):\n    return width * hight\n```",
        "```python\ndef area(width, height=1.0):\n    return str(width * height)\n```",
        "Sorry:\n```python\ndef area(width, height=1.0):\n    return width * height\n```\nThere.",
    )
    response = service.client.post(
        "/implement",
        json={
            "modelName": "demo",
            "function": "def area(width: float, height: float = 1.0) -> float: ...",
            "parameters": {"width": 2, "height": 4},
            "response_schema": {"type": "number"},
        },
    )
    assert response.json() == {
        "code": "def area(width, height=1.0):\n    return width * height",
        "value": 8,
        "reason": None,
        "tries": 3,
    }
    told = [call.messages[-1].content for call in service.runtime.history]
    assert "name 'hight' is not defined" in told[1]
    assert "not of type 'number'" in told[2]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"response_after_chat": True}, "response_after_chat"),
        ({"answer_template": "{question}"}, "answer_template"),
        ({"execute_functions": True}, "execute_functions"),
        ({"functions": [AREA], "response_schema": SCHEMA}, "functions"),
        ({"functions": [AREA], "documents": ["*"]}, "functions"),
        ({"functions": [AREA], "stream": True}, "stream"),
        ({"response_schema": SCHEMA, "stream": True}, "stream"),
        ({"response_schema": SCHEMA, "per_document": True, "documents": ["*"]}, "per_document"),
        ({"functions": ["def f(x): ..."]}, "functions"),
        ({"response_schema": {"type": "nothing"}}, "response_schema"),
        ({"functions": [{"name": "far"}], "execute_functions": True}, "execute_functions"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    service: Service, fields: dict[str, Any], where: str
) -> None:
    sent = {"modelName": "demo", "user_prompt": "Who?", **fields}
    response = service.client.post("/generate", json=sent)
    assert response.status_code == 422
    assert where in response.text
    assert not service.runtime.history


def test_a_call_that_is_cut_off_says_so(service: Service) -> None:
    service.runtime.will_answer('{"name": "area", "arguments": {"width": 2, "height"')
    answer = ask(service, functions=[AREA], max_tokens=4)
    (call,) = answer["calls"]
    assert (answer["message"], call["name"], call["arguments"]) == ("", "area", None)
    assert call["reason"] == "Its arguments are cut off. Ask for more max_tokens."


def test_a_model_that_knows_tools_chooses_by_its_template(service: Service) -> None:
    said = Said(calls=[("area", '{"width": 2}'), ("area", '{"height": 2}'), ("fly", "{}")])
    service.runtime.will_answer(said)
    answer = ask(service, modelName="tooled", functions=[AREA], execute_functions=True)
    (call,) = service.runtime.history
    assert (call.options.json_schema, call.options.tool_choice) == (None, "auto")
    assert answer["values"] == [2.0, None, None]
    reasons = [one["reason"] for one in answer["calls"]]
    assert reasons[0] is None
    assert "'width' is a required property" in reasons[1]
    assert reasons[2] == "There is no function 'fly'."
    service.runtime.will_answer("Good day.")
    answer = ask(service, modelName="tooled", functions=[AREA])
    assert (answer["message"], answer["calls"], answer["values"]) == ("Good day.", [], None)


@pytest.mark.parametrize("said", ["Just so.", '["an odd one"]'])
def test_what_a_back_end_says_beside_the_schema_is_an_answer(service: Service, said: str) -> None:
    service.runtime.will_answer(said)
    answer = ask(service, functions=[AREA])
    assert (answer["message"], answer["calls"]) == (said, [])


def test_fields_may_come_as_a_form(service: Service) -> None:
    service.runtime.will_answer(ADA, '{"name": "area", "arguments": {"width": 3}}')
    form = {"modelName": "demo", "user_prompt": "Who is it?", "response_schema": json.dumps(SCHEMA)}
    answer = service.client.post("/generate", data=form).json()
    assert answer["value"] == {"name": "Ada", "age": 36}
    form = {"modelName": "demo", "user_prompt": "How large?", "functions": AREA}
    answer = service.client.post("/generate", data={**form, "execute_functions": "true"}).json()
    assert answer["values"] == [3.0]


def test_a_function_that_fails_says_why(service: Service) -> None:
    service.runtime.will_answer('{"name": "area", "arguments": {"width": "wide"}}')
    answer = ask(service, functions=[AREA], execute_functions=True)
    assert answer["values"] == [None]
    assert "'wide' is not of type 'number'" in answer["calls"][0]["reason"]
    service.runtime.will_answer('{"name": "half", "arguments": {"n": 0}}')
    source = "def half(n: int) -> float:\n    return 1 / n"
    answer = ask(service, functions=[source], execute_functions=True)
    assert answer["values"] == [None]
    assert answer["calls"][0]["reason"].startswith("ZeroDivisionError")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"parameters": {"wide": 2}}, "parameters"),
        ({"function": "def f(a): ..."}, "function"),
        ({"function": "def f(): ...\ndef g(): ..."}, "function"),
        ({"function": "What is this?"}, "function"),
        ({"response_schema": {"type": 3}}, "response_schema"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_its_field(
    service: Service, fields: dict[str, Any], where: str
) -> None:
    order = {"modelName": "demo", "function": AREA, "parameters": {"width": 1}, **fields}
    response = service.client.post("/implement", json=order)
    assert response.status_code == 422
    assert where in response.json()["detail"]
    assert not service.runtime.history


def test_a_function_can_be_written_without_being_called(service: Service) -> None:
    service.runtime.will_answer("def area(width):\n    return width", "def area(width, height): 1")
    order = {"modelName": "demo", "function": AREA, "execute": False}
    answer = service.client.post("/implement", json=order).json()
    assert answer == {
        "code": "def area(width, height): 1",
        "value": None,
        "reason": None,
        "tries": 2,
    }
    assert "has no parameter height" in service.runtime.history[-1].messages[-1].content


def test_what_was_said_stands_where_the_context_leaves_no_room_for_more(service: Service) -> None:
    service.runtime.will_answer("word " * 140, "nothing", "def area(width): " + "long " * 60)
    asked = {"response_schema": SCHEMA, "response_after_chat": True, "num_ctx": 256}
    answer = ask(service, **asked, max_tokens=150)
    assert answer["message"].startswith("word word")
    assert answer["value"] is None
    assert "room" in answer["reason"]
    order = {"modelName": "demo", "function": AREA, "parameters": {"width": 1}, "num_ctx": 256}
    response = service.client.post("/implement", json={**order, "max_tokens": 100})
    assert (response.status_code, response.json()["tries"]) == (200, 2)
    assert response.json()["reason"]


def test_without_the_sandbox_what_runs_functions_names_the_extra(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.app.state.services.sandbox.close()
    monkeypatch.setitem(cast(dict[str, Any], sys.modules), "pydantic_monty", None)
    sent = {"modelName": "demo", "user_prompt": "How large?", "functions": [AREA]}
    order = {"modelName": "demo", "function": AREA, "parameters": {"width": 1}}
    for path, body in (("/generate", {**sent, "execute_functions": True}), ("/implement", order)):
        response = service.client.post(path, json=body)
        assert response.status_code == 503
        assert "llm-fastapi[functions]" in response.json()["detail"]
    service.runtime.will_answer('{"answer": "Quite."}')
    assert ask(service, functions=[AREA])["message"] == "Quite."


@pytest.mark.parametrize(
    ("number", "said", "told"),
    [
        (0, ['{"name": "Ada", "born": 1815}'], {"value": {"name": "Ada", "born": 1815}}),
        (1, ["Ada did.", '{"name": "Ada"}'], {"message": "Ada did.", "value": {"name": "Ada"}}),
        (2, ["Ada did.", '{"name": "Ada"}'], {"value": {"name": "Ada"}}),
        (
            3,
            ['{"name": "later", "arguments": {"day": "2026-02-27", "days": 3}}'],
            {"values": ["2026-03-02"]},
        ),
        (
            4,
            ['{"name": "weather", "arguments": {"city": "Rome"}}'],
            {
                "calls": [{"name": "weather", "arguments": {"city": "Rome"}, "reason": None}],
                "values": None,
            },
        ),
        (
            5,
            ["def leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)"],
            {"value": True, "reason": None, "tries": 1},
        ),
    ],
)
def test_each_command_of_the_page_does_what_it_says(
    service: Service, number: int, said: list[str], told: dict[str, Any]
) -> None:
    path, body = CURLS[number]
    service.runtime.will_answer(*said)
    answer = service.client.post(path, json=json.loads(body) | {"modelName": "demo"}).json()
    assert {name: answer[name] for name in told} == told
    assert len(CURLS) == 6
