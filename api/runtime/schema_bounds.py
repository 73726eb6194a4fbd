"""Bounds in JSON schemas that no value keeps, and those over which llama.cpp's grammar comes to no end.

It would read `minLength: 5, maxLength: 2` until its memory is full, with all answers of the model that it runs: such a
schema is refused before anything is asked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from api.errors import InvalidOption

NAMED_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Members of a schema whose own members are named by people, and are schemas."""
VALUES = ("const", "enum", "default", "examples", "required")
"""Members of a schema that hold no schema."""
MAX_PAIRS = 250_000
"""Members of an object that may be left out, times themselves: 500 in one. The grammar takes time with that, on a busy
core 2 s for 300 and 13 s for 800.
"""
MAX_OPEN = 10**16
"""From here on the digits of a whole number that has a bound on one side alone are counted without an end."""
_MAX_INTEGER = 2**63 - 1
"""A bound that is none to llama.cpp."""
_PAIRS = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minimum", "maximum"),
)
_REPETITION = re.compile(r"\{(\d{1,20}),(\d{1,20})\}")


def fault_of_bounds(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a schema's bounds, and where."""
    for path, part in _parts(schema, "$"):
        if why := _contradiction(part) or _open_number(part) or _backwards(part):
            return f"at {path}, {why}"
    if optional_pairs(schema) > MAX_PAIRS:
        return "too many members may be left out: name in `required` those that are there, or split the object."
    return None


def optional_pairs(schema: Mapping[str, Any]) -> int:
    """The sum of the squares of how many members its objects may leave out."""
    return sum(_optional(part) ** 2 for _, part in _parts(schema, "$"))


def require_few_optional(pairs: int) -> None:
    """`InvalidOption` for functions whose objects leave out too much together."""
    if pairs > MAX_PAIRS:
        raise InvalidOption(
            "tools: together their objects have too many members that may be left out. Send fewer functions, or name "
            "in `required` what is there.",
            where="tools",
        )


def _parts(schema: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A schema and those within it, each with its JSON path."""
    if isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from _parts(one, f"{path}[{number}]")
    elif isinstance(schema, Mapping):
        yield path, schema
        for key, value in schema.items():
            if key in NAMED_SCHEMAS and isinstance(value, Mapping):
                for name, one in value.items():
                    yield from _parts(one, f"{path}.{key}.{name[:80]}")
            elif key not in VALUES:
                yield from _parts(value, f"{path}.{key[:80]}")


def _contradiction(part: Mapping[str, Any]) -> str:
    for least, most in _PAIRS:
        low, high = _number(part, least), _number(part, most)
        if low is not None and high is not None and low > high:
            return f"{least} {low} is more than {most} {high}: no value has both."
    return ""


def _open_number(part: Mapping[str, Any]) -> str:
    if "integer" not in (part.get("type"), *_listed(part.get("type"))):
        return ""
    low = [n for name in ("minimum", "exclusiveMinimum") if (n := _number(part, name)) is not None]
    high = [n for name in ("maximum", "exclusiveMaximum") if (n := _number(part, name)) is not None]
    if low and max(low) >= MAX_OPEN and min(high, default=_MAX_INTEGER) >= _MAX_INTEGER:
        return f"a whole number from {max(low)} needs a `maximum` too, below {_MAX_INTEGER}."
    if high and min(high) <= -MAX_OPEN and max(low, default=-_MAX_INTEGER) <= -_MAX_INTEGER:
        return f"a whole number to {min(high)} needs a `minimum` too, above -{_MAX_INTEGER}."
    return ""


def _backwards(part: Mapping[str, Any]) -> str:
    pattern = part.get("pattern")
    found = _REPETITION.findall(pattern) if isinstance(pattern, str) else ()
    backwards = [f"{{{low},{high}}}" for low, high in found if int(low) > int(high)]
    return (
        f"its pattern repeats {backwards[0]}: at least more often than at most."
        if backwards
        else ""
    )


def _optional(part: Mapping[str, Any]) -> int:
    members, required = part.get("properties"), part.get("required")
    if not isinstance(members, Mapping):
        return 0
    return len(members.keys() - {*_listed(required)})


def _listed(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _number(part: Mapping[str, Any], name: str) -> float | None:
    value = part.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
