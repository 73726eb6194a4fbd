"""Filters over attributes: what each kind of comparison holds for."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api.vector_stores.filters import DEEPEST, MOST_FILTERS, Filter

FILTERS: TypeAdapter[Filter] = TypeAdapter(Filter)
NOTED: dict[str, Any] = {"year": 2020, "rate": 1.5, "kind": "b", "day": "2026-02-01", "new": True}


def holds(**filter: Any) -> bool:
    return FILTERS.validate_python(filter).holds(NOTED)


@pytest.mark.parametrize(
    ("type", "key", "fits", "fails"),
    [
        ("eq", "year", [2020, 2020.0], [2021, "2020", True]),
        ("eq", "new", [True], [False, 1, "true"]),
        ("eq", "missing", [], ["", 0, False]),
        ("ne", "kind", ["a", 1], ["b"]),
        ("ne", "missing", ["b", 0], []),
        ("gt", "year", [2019, 2019.5], [2020, "2019", False]),
        ("gte", "year", [2020], [2021]),
        ("lt", "day", ["2026-02-02", "2027"], ["2026-02-01", 2027]),
        ("lte", "rate", [1.5, 2], [1]),
        ("gt", "missing", [], [0, ""]),
        ("in", "kind", [["a", "b"]], [["a", "c"], [], [1]]),
        ("nin", "kind", [["a"], []], [["b", "a"]]),
        ("nin", "missing", [["a"]], []),
    ],
)
def test_a_comparison_holds_for_values_of_its_own_kind(
    type: str, key: str, fits: list[Any], fails: list[Any]
) -> None:
    assert [value for value in fits if not holds(type=type, key=key, value=value)] == []
    assert [value for value in fails if holds(type=type, key=key, value=value)] == []


def test_filters_are_combined() -> None:
    old = {"type": "lt", "key": "year", "value": 2000}
    fits = {"type": "eq", "key": "kind", "value": "b"}
    assert holds(type="or", filters=[old, fits])
    assert not holds(type="and", filters=[old, fits])
    assert holds(type="and", filters=[fits, {"type": "or", "filters": [old, fits]}])
    assert holds(type="and", filters=[])
    assert not holds(type="or", filters=[])


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "like", "key": "a", "value": "b"},
        {"type": "eq", "key": "a", "value": ["b"]},
        {"type": "in", "key": "a", "value": "b"},
        {"type": "eq", "key": "a", "value": float("nan")},
        {"type": "eq", "key": "a"},
        {"type": "and", "filters": [{"type": "eq"}]},
    ],
)
def test_what_is_no_filter_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FILTERS.validate_python(wrong)


def test_filters_stand_in_one_another_only_so_deep() -> None:
    filter: dict[str, Any] = {"type": "eq", "key": "kind", "value": "b"}
    for _ in range(DEEPEST - 1):
        filter = {"type": "and", "filters": [filter]}
    assert holds(**filter)
    with pytest.raises(ValidationError, match="at most"):
        holds(type="and", filters=[filter])


def test_filters_are_only_so_many_in_all() -> None:
    fits = {"type": "eq", "key": "kind", "value": "b"}
    half = {"type": "and", "filters": [fits] * (MOST_FILTERS // 2 - 1)}
    assert holds(type="and", filters=[half, half])
    with pytest.raises(ValidationError, match="in all"):
        holds(type="and", filters=[half, half, fits])
