"""Patterns of schemas: read as JavaScript reads them, and soon looked for, whoever wrote them."""

import random
from time import thread_time
from typing import Any

import pytest

from api.errors import InvalidOption
from api.runtime import schemas
from api.runtime.patterns import TooLong, is_in, is_read
from api.runtime.schemas import check_schema, violation


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^\d+$", "42", True),
        (r"^\d+$", "٣", False),
        (r"^\d+$", "3\n", False),
        (r"\d", "a 3", True),
        (r"^a.b$", "a\rb", False),
        (r"^\s$", "\u00a0", True),
        (r"^\w+$", "ä", False),
        (r"^\p{L}+$", "ä", True),
        (r"^\p{Script=Greek}$", "\u03b1", True),
        (r"^[[a]]$", "a]", True),
        (r"^[a&&b]$", "&", True),
        (r"^[\u0041-C]\cJ\/$", "B\n/", True),
        (r"^.{1,2000}$", "a" * 2001, False),
        (r"^(a+)+$", "a" * 60 + "b", False),
        (r"\S", "a" * 10**6, True),
    ],
)
def test_a_pattern_is_javascripts(pattern: str, text: str, found: bool) -> None:
    assert is_in(pattern, text) is found


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?<!a)b", r"(a)\1", "(", r"\p{L}{9}" * 999])
def test_what_needs_a_way_back_is_not_read(pattern: str) -> None:
    assert not is_read(pattern)
    assert is_in(pattern, "b") is None
    schema = {"properties": {"a": {"pattern": pattern}}}
    with pytest.raises(InvalidOption, match=r"it: at \$\.properties\.a\.pattern, .* is no pattern"):
        check_schema(schema, "it", "it")
    check_schema(schema, "it", "it", patterns=False)
    assert violation(schema, {"a": "b"}) is None


def test_names_are_held_against_patterns() -> None:
    schema = {
        "properties": {"id": {}},
        "patternProperties": {"^n_": {"type": "integer"}, "(?=x)": {}},
        "additionalProperties": {"type": "null"},
        "unevaluatedProperties": False,
    }
    for value, wrong in (
        ({"id": "a", "n_1": 1, "other": None}, None),
        ({"n_1": "1"}, "n_1"),
        ({"other": 1}, "other"),
    ):
        fault = violation({**schema, "patternProperties": {"^n_": {"type": "integer"}}}, value)
        assert fault is None if wrong is None else wrong in str(fault)
    assert violation(schema, {"other": 1}) is None, "it may be what the pattern means"
    assert violation({"propertyNames": {"pattern": "^[a-z]+$"}}, {"B": 1})


@pytest.mark.parametrize("draft", ["2019-09", "2020-12"])
def test_no_member_is_there_that_nothing_names(draft: str) -> None:
    schema = {
        "$schema": f"https://json-schema.org/draft/{draft}/schema",
        "properties": {"id": {}},
        "patternProperties": {"^n_": {"type": "integer"}},
        "anyOf": [{"patternProperties": {"^t_": {"type": "string"}}}, {"$ref": "#/$defs/dated"}],
        "if": {"required": ["more"]},
        "then": {"properties": {"more": {"unevaluatedProperties": {"type": "null"}}}},
        "unevaluatedProperties": False,
        "$defs": {"dated": {"required": ["at"], "patternProperties": {"^at$": {}}}},
    }
    for value, wrong in (
        ({"id": 1, "n_1": 1, "t_a": "a", "at": 2}, None),
        ({"more": {"x": None}}, None),
        ({"n_1": 1, "other": 1, "z": 2}, "'other' is named nowhere"),
        ({"t_a": 1}, "'t_a' is named nowhere"),  # the branch that names it does not hold
        ({"more": {"x": 1}}, "more.x"),
    ):
        fault = violation(schema, value)
        assert fault is None if wrong is None else wrong in str(fault), fault


def test_the_worst_patterns_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MAX_SECONDS", 0.2)
    text = "".join(random.Random(1).choices("ab", k=200_000))
    worst = "[ab]*a[ab]{%d}c"
    began = thread_time()
    with pytest.raises(TooLong, match="200000 characters"):
        is_in(worst % 5000, text)
    fault = violation(
        {"items": {"pattern": worst % 200}}, [text[:60_000] + str(n) for n in range(99)]
    )
    assert "too many steps" in str(fault)
    many: dict[str, dict[str, str]] = {f"^{n}[ab]*": {} for n in range(2000)}
    fault = violation({"patternProperties": many}, {str(n): n for n in range(2000)})
    assert "too many steps" in str(fault)
    twice: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$dynamicRef": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)
    }
    doubled = {"unevaluatedProperties": False, "$dynamicRef": "#/$defs/d0", "$defs": twice}
    assert "too many steps" in str(violation({**doubled, "$defs": {**twice, "d40": {}}}, {"a": 1}))
    backtracks = {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False}
    assert "named nowhere" in str(violation(backtracks, {"a" * 60 + "b": 1}))
    slow = {f"p{n}": {"pattern": rf"(\p{{L}}| ){{90}}{n}"} for n in range(700)}
    check_schema({"properties": {"p": slow["p1"]}}, "it", "it")
    with pytest.raises(InvalidOption, match="take too long to read"):
        check_schema({"properties": slow}, "it", "it")
    assert thread_time() - began < 5
