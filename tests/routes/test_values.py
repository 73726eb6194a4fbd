"""Values, calls and functions over HTTP, with a model whose answers a test lines up."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
