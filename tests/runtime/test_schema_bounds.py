"""Schemas over which llama.cpp's grammar comes to no end are refused, and their likes are not."""

from typing import Any

import pytest

from api.errors import InvalidOption
from api.runtime import Options
from api.runtime.schemas import check_schema
from api.runtime.tools import check_tools

MAX = 2**63 - 1


def optional(members: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{n}": {} for n in range(members)}}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", "minLength": 5, "maxLength": 2}, r"at \$, minLength 5 is more than"),
        ({"type": ["string", "null"], "minLength": 5, "maxLength": 2}, "no value has both"),
        (
            {"properties": {"a": {"items": {"minItems": 3, "maxItems": 1}}}},
            r"\$\.properties\.a\.items",
        ),
        ({"anyOf": [{}, {"minimum": 5, "maximum": 2}]}, r"\$\.anyOf\[1\], minimum 5"),
        ({"type": "integer", "minimum": 10**16}, "needs a `maximum` too"),
        ({"type": "integer", "exclusiveMinimum": 10**17, "maximum": MAX}, "needs a `maximum` too"),
        ({"type": "integer", "maximum": -(10**16)}, "needs a `minimum` too"),
        (optional(501), "too many members may be left out"),
    ],
)
def test_a_schema_that_no_grammar_ends_with_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidOption, match=told):
        check_schema(schema, "it", "place")


def test_a_repetition_that_runs_backwards_is_refused_also_where_patterns_are_not_read() -> None:
    with pytest.raises(InvalidOption, match=r"repeats \{5,2\}"):
        check_schema({"type": "string", "pattern": "^a{5,2}$"}, "it", "place", patterns=False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 2, "maxLength": 2, "pattern": "^a{2,2}(?=b)"},
        {"type": "integer", "minimum": 10**17, "maximum": 10**18},
        {"type": "integer", "minimum": -MAX, "maximum": MAX},
        {"type": "number", "minimum": 1e30},
        {
            "properties": {
                "minLength": {"const": 5},
                "maxLength": {"enum": [{"minItems": 2, "maxItems": 1}]},
            }
        },
        optional(500),
        {**optional(1500), "required": [f"p{n}" for n in range(1400)]},
    ],
)
def test_a_schema_that_only_looks_like_one_is_taken(schema: dict[str, Any]) -> None:
    check_schema(schema, "it", "place", patterns=False)


def test_functions_leave_out_no_more_together_than_one_may() -> None:
    def tool(name: str, members: int) -> dict[str, Any]:
        return {"type": "function", "function": {"name": name, "parameters": optional(members)}}

    check_tools(Options(tools=(tool("a", 300), tool("b", 300))))
    with pytest.raises(InvalidOption, match="together"):
        check_tools(Options(tools=tuple(tool(name, 300) for name in "abc")))
