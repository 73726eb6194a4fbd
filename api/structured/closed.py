"""The schema that a model writes by: a small one that may add members of its own to an object finds no end of them."""

from collections.abc import Mapping
from typing import Any

_SAID = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})
_JOINED = frozenset({"$ref", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies"})
"""Members beside which the members of an object are not all named in one place."""
_NEVER = frozenset({"allOf", "not", "$dynamicRef", "$recursiveRef"})
"""Where a schema has one of these anywhere, nobody can tell what else is named elsewhere."""


def closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same schema, whose objects have the members alone that it names, unless it says of one that others may stand
    in it. What holds this holds the schema too.
    """
    if _NEVER & {*_members(schema)}:
        return schema
    made: Mapping[str, Any] = _closed(schema)
    return made


def _members(schema: Any) -> list[str]:
    """The names of all members, those of values and properties too: one more only leaves a schema as it is."""
    if isinstance(schema, Mapping):
        return [*schema, *(name for one in schema.values() for name in _members(one))]
    return [name for one in schema for name in _members(one)] if isinstance(schema, list) else []


def _closed(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    for name in ("properties", "$defs", "definitions"):
        if isinstance(inner := schema.get(name), Mapping):
            made[name] = {key: _closed(one) for key, one in inner.items()}
    for name in ("items", "additionalProperties"):
        if name in schema:
            made[name] = _closed(schema[name])
    if "properties" not in schema:
        for name in ("anyOf", "oneOf", "prefixItems"):
            if isinstance(choices := schema.get(name), list):
                made[name] = [_closed(one) for one in choices]
    elif not (_SAID | _JOINED) & schema.keys():
        made["additionalProperties"] = False
    return made
