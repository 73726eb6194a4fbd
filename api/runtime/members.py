"""Keywords of JSON schemas that say which members an object may have: names are held against patterns that end soon."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing.jsonschema import lookup_recursive_ref

from api.runtime.patterns import is_in

MAX_NAMES = 100_000
"""Names of members that patterns are looked for in, each for each."""
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
Schema = Mapping[str, Any]


class Endless(Exception):
    """Too many references are followed, or it takes too long."""


def pattern_properties(
    validator: Any, wanted: Mapping[str, Any], members: Any, _schema: Any
) -> Iterator[ValidationError]:
    """`patternProperties`."""
    if validator.is_type(members, "object"):
        _require_few(wanted, members)
        for pattern, schema in wanted.items():
            for name, value in members.items():
                if is_in(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def additional_properties(
    validator: Any, wanted: Any, members: Any, schema: Schema
) -> Iterator[ValidationError]:
    """The library's own, of what no pattern names; a name that a pattern may have, which is not read, is one."""
    if patterns := validator.is_type(members, "object") and schema.get("patternProperties"):
        members = {name: members[name] for name in members.keys() - _named_by(patterns, members)}
        schema = {"properties": schema.get("properties", {})}
    own = Draft202012Validator.VALIDATORS["additionalProperties"]
    yield from own(validator, wanted, members, schema) or ()


def unevaluated_properties(
    validator: Any, wanted: Any, members: Any, schema: Schema
) -> Iterator[ValidationError]:
    """`unevaluatedProperties`: of the members that nothing beside it names, which the library finds out by Python's
    `re`, without an end.
    """
    if not validator.is_type(members, "object"):
        return
    beside = {name: one for name, one in schema.items() if name != "unevaluatedProperties"}
    for name in sorted(members.keys() - _evaluated(validator, members, beside)):
        if wanted is False:
            yield ValidationError(f"{name[:80]!r} is named nowhere, and no others may be there")
        else:
            yield from validator.descend(members[name], wanted, path=name, schema_path=name)


def _evaluated(validator: Any, members: Mapping[str, Any], schema: Any) -> set[str]:
    """The members that a schema says something of, by itself or by others for the same object; one that they must hold,
    and do not, tells that itself.
    """
    if not isinstance(schema, Mapping):
        return set()
    if {"additionalProperties", "unevaluatedProperties"} & schema.keys():
        return set(members)
    found: set[str] = members.keys() & schema.get("properties", {}).keys()
    found |= _named_by(schema.get("patternProperties", {}), members)
    for one in _applied(validator, members, schema):
        found |= _evaluated(validator, members, one)
    for name in REFERENCES:
        if name in schema:
            _holds(validator, members, {name: schema[name]})  # by which its steps are counted
            led, there = _led(validator, name, schema[name])
            found |= _evaluated(led, members, there)
    return found


def _applied(validator: Any, members: Mapping[str, Any], schema: Schema) -> Iterator[Any]:
    """Schemas within a schema that are meant for the same object."""
    yield from schema.get("allOf", ())
    yield from (one for name, one in schema.get("dependentSchemas", {}).items() if name in members)
    for name in ("anyOf", "oneOf"):
        yield from (one for one in schema.get(name, ()) if _holds(validator, members, one))
    if "if" in schema and _holds(validator, members, schema["if"]):
        yield schema["if"]
        yield schema.get("then", True)
    elif "if" in schema:
        yield schema.get("else", True)


def _led(validator: Any, name: str, reference: str) -> tuple[Any, Any]:
    """Where a reference leads: the validator there, and the schema."""
    resolver = validator._resolver
    resolved = (
        lookup_recursive_ref(resolver) if name == "$recursiveRef" else resolver.lookup(reference)
    )
    led = validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
    return led, resolved.contents


def _holds(validator: Any, members: Mapping[str, Any], schema: Any) -> bool:
    return next(validator.descend(members, schema), None) is None


def _named_by(patterns: Mapping[str, Any], names: Mapping[str, Any]) -> set[str]:
    """The names that have one of the patterns, or may have one that is not read."""
    _require_few(patterns, names)
    return {name for name in names if any(is_in(one, name) is not False for one in patterns)}


def _require_few(patterns: Mapping[str, Any], names: Mapping[str, Any]) -> None:
    if len(patterns) * len(names) > MAX_NAMES:
        raise Endless
