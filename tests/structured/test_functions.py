"""Functions as schemas and as typed source: what a model is told of them."""

from typing import Any

import pytest

from api.errors import InvalidOption
from api.structured.functions import read_functions

SOURCE = '''
import datetime
from typing import Annotated, Literal, Optional

def _helper(x):
    return x

def search(
    words: Annotated[list[str], "what to look for"],
    place: Annotated[Literal["here", "there"], Field(description="where")] = "here",
    *,
    limit: "Optional[int]" = None,
    weights: dict[str, float] | None = None,
    rest: typing.Any = datetime.date.today(),
) -> list[str]:
    """Finds things.

    By their words."""
    return words
'''


def test_source_becomes_a_schema_with_descriptions() -> None:
    (function,) = read_functions([SOURCE], "functions")
    assert (function.name, function.description) == ("search", "Finds things.\n\nBy their words.")
    assert function.source == SOURCE
    assert function.parameters == {
        "type": "object",
        "properties": {
            "words": {
                "type": "array",
                "items": {"type": "string"},
                "description": "what to look for",
            },
            "place": {"enum": ["here", "there"], "description": "where", "default": "here"},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "weights": {
                "anyOf": [
                    {"type": "object", "additionalProperties": {"type": "number"}},
                    {"type": "null"},
                ],
                "default": None,
            },
            "rest": {},
        },
        "required": ["words"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "sent",
    [
        {"name": "f", "parameters": {"type": "object"}},
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        '{"name": "f", "parameters": {"type": "object"}}',
    ],
)
def test_a_schema_is_taken_as_openai_writes_it_with_its_wrapper_or_without(sent: Any) -> None:
    (function,) = read_functions([sent], "functions")
    assert (function.name, function.parameters, function.source) == ("f", {"type": "object"}, "")


def test_a_parameter_without_a_type_is_named_with_its_function() -> None:
    with pytest.raises(InvalidOption) as refused:
        read_functions(["def weather(city, days: int): ..."], "functions")
    assert refused.value.detail == (
        "functions: the parameter 'city' of weather has no type. Write one, such as `city: str`."
    )
    assert refused.value.extra == {
        "where": "functions",
        "function": "weather",
        "parameter": "city",
    }
