"""JSON schemas that people send: whether they are sound, and whether a value holds one.

Nothing is fetched, and no pattern is run: patterns are the grammar's business, which they cannot keep busy for ever.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from api.errors import InvalidOption

MAX_SCHEMA_CHARACTERS = 32_768
Schema = Mapping[str, Any]
_OF_SCHEMAS = ("properties", "$defs", "definitions", "dependentSchemas")
"""Members whose own members are named by people."""
_OF_VALUES = ("const", "enum", "default", "examples", "required")
"""Members that hold no schema."""
_OF_A_WHOLE = frozenset({"$schema", "$id"})
_PATTERNS = frozenset({"$id", "pattern", "patternProperties"})


def check_schema(schema: Any, name: str, where: str) -> None:
    """`InvalidOption` that says what is wrong with a schema, as part of what is called `name` and `where` it stands."""

    def refuse(why: str) -> InvalidOption:
        return InvalidOption(f"{name}: {why}", where=where)

    def within(reference: str) -> str:
        if not reference.startswith("#"):
            raise refuse(
                f"$ref {reference[:80]!r} leads out of the schema; only #/... is followed."
            )
        if not _leads_to_a_schema(schema, reference):
            raise refuse(f"$ref {reference[:80]!r} leads to nothing.")
        return reference

    try:
        size = len(json.dumps(schema, allow_nan=False))
        if size > MAX_SCHEMA_CHARACTERS:
            raise refuse(f"{size} characters; {MAX_SCHEMA_CHARACTERS} are allowed.")
        if not isinstance(schema, Mapping):
            raise refuse("this is no JSON schema, which is an object.")
        validator_for(schema, Draft202012Validator).check_schema(schema)
        _mapped(schema, within)
    except SchemaError as error:
        raise refuse(f"at {error.json_path}, {error.message[:200]}.") from None
    except (TypeError, ValueError):
        raise refuse("this is no JSON.") from None
    except RecursionError:
        raise refuse("it is too deep.") from None


def placed(schema: Schema, place: str) -> Any:
    """A schema as part of another one, where it stands at `place`, such as `#/$defs/one`."""
    return _mapped(schema, lambda reference: place + reference.removeprefix("#"), _OF_A_WHOLE)


def violation(schema: Schema, value: Any) -> str | None:
    """What of a value the schema does not allow, apart from patterns."""
    validator = validator_for(schema, Draft202012Validator)
    bare = _mapped(schema, lambda reference: reference, _PATTERNS)
    try:
        fault: ValidationError | None = best_match(
            validator(bare, registry=Registry()).iter_errors(value)
        )
    except (Unresolvable, RecursionError) as error:
        return f"it cannot be followed ({type(error).__name__})"
    return fault and f"at {fault.json_path}, {fault.message[:200]}"


def _leads_to_a_schema(schema: Any, reference: str) -> bool:
    """Whether a reference within a schema leads to a part of it."""
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and name.isdecimal() and int(name) < len(schema):
            schema = schema[int(name)]
        elif isinstance(schema, Mapping) and name in schema:
            schema = schema[name]
        else:
            return False
    return isinstance(schema, Mapping | bool)


def _mapped(
    schema: Any, reference: Callable[[str], str], without: frozenset[str] = frozenset()
) -> Any:
    """A schema with other references, and without some members of each schema in it."""
    if isinstance(schema, list):
        return [_mapped(one, reference, without) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in without:
            continue
        if key == "$ref" and isinstance(value, str):
            made[key] = reference(value)
        elif key in _OF_VALUES:
            made[key] = value
        elif key in _OF_SCHEMAS and isinstance(value, Mapping):
            made[key] = {name: _mapped(one, reference, without) for name, one in value.items()}
        else:
            made[key] = _mapped(value, reference, without)
    return made
