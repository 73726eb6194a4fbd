"""Which objects of a schema are closed for the model, and which are left as they are."""

from typing import Any

import pytest

from api.structured.closed import closed

A: dict[str, Any] = {"properties": {"a": {}}}
SHUT: dict[str, Any] = {"properties": {"a": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (A, SHUT),
        ({"items": A}, {"items": SHUT}),
        ({"properties": {"b": A}}, {"properties": {"b": SHUT}, "additionalProperties": False}),
        ({"$ref": "#/$defs/a", "$defs": {"a": A}}, {"$ref": "#/$defs/a", "$defs": {"a": SHUT}}),
        ({"anyOf": [A, {"type": "null"}]}, {"anyOf": [SHUT, {"type": "null"}]}),
        ({"additionalProperties": A}, {"additionalProperties": SHUT}),
    ],
)
def test_what_names_its_members_has_no_others(schema: Any, told: Any) -> None:
    assert closed(schema) == told


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {**A, "additionalProperties": True},
        {**A, "patternProperties": {"^b": {}}},
        {**A, "anyOf": [{"properties": {"b": {}}}]},
        {"allOf": [A, {"properties": {"b": {}}}]},
        {"$defs": {"a": A}, "properties": {"c": {"allOf": [{"$ref": "#/$defs/a"}]}}},
        {"const": A},
    ],
)
def test_what_may_have_others_is_left_as_it_is(schema: Any) -> None:
    assert closed(schema) == schema
