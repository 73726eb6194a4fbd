"""Filters over the attributes of files, with which a search begins."""

import operator
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, model_validator

from api.names import MAX_NAME_CHARACTERS

MOST_VALUES = 1000
MOST_FILTERS = 100
"""In one another and beside one another, all together: each is held against each file."""
DEEPEST = 10
"""How many filters stand in one another."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Value = StrictBool | Number | StrictStr
Attributes = Mapping[str, Value]
Kind = type[object]
ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class Comparison(BaseModel):
    """One attribute against a value, or against several with `in` and `nin`. Texts, numbers and booleans are never
    equal to one another, and only values of one kind have an order: texts by their characters, so that dates in ISO
    form can be compared. A file without the attribute holds for `ne` and `nin` alone.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"] = "eq"
    key: str = Field(max_length=MAX_NAME_CHARACTERS)
    value: Value | Annotated[list[Value], Field(max_length=MOST_VALUES)]

    @model_validator(mode="after")
    def require_fit(self) -> "Comparison":
        """Several values for `in` and `nin`, one for all else."""
        wants_list = self.type in ("in", "nin")
        if isinstance(self.value, list) != wants_list:
            raise ValueError(f"{self.type} needs {'a list' if wants_list else 'one value'}")
        return self

    def holds(self, attributes: Attributes) -> bool:
        """Whether a file with these attributes is meant."""
        kind, found = _with_kind(attributes.get(self.key))
        if self.type in ORDERED:
            alike, value = _with_kind(self.value)
            return kind is alike and ORDERED[self.type](found, value)
        return ((kind, found) in self._values) == (self.type in ("eq", "in"))

    @cached_property
    def _values(self) -> frozenset[tuple[Kind, object]]:
        return frozenset(
            map(_with_kind, self.value if isinstance(self.value, list) else [self.value])
        )


class Compound(BaseModel):
    """All, or any, of several filters."""

    model_config = ConfigDict(frozen=True)

    type: Literal["and", "or"]
    filters: list["Comparison | Compound"] = Field(max_length=MOST_FILTERS)

    @model_validator(mode="after")
    def require_small(self) -> "Compound":
        """No more filters, and no deeper, than a search can bear."""
        if depth_of(self) > DEEPEST:
            raise ValueError(f"at most {DEEPEST} filters stand in one another")
        if count_of(self) > MOST_FILTERS:
            raise ValueError(f"at most {MOST_FILTERS} filters in all")
        return self

    def holds(self, attributes: Attributes) -> bool:
        """Whether a file with these attributes is meant."""
        each = (one.holds(attributes) for one in self.filters)
        return all(each) if self.type == "and" else any(each)


Filter = Comparison | Compound


def depth_of(filter: Filter) -> int:
    """How many filters stand in one another."""
    if isinstance(filter, Comparison):
        return 1
    return 1 + max(map(depth_of, filter.filters), default=0)


def count_of(filter: Filter) -> int:
    """How many filters stand in it, however deep."""
    return 0 if isinstance(filter, Comparison) else sum(1 + count_of(one) for one in filter.filters)


def _with_kind(value: object) -> tuple[Kind, object]:
    """Booleans are no numbers here, and whole numbers are of the kind of all numbers."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float if is_number else type(value), value
