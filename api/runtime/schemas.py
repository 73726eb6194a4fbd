"""JSON schemas that people send: whether they are sound, and whether a value holds one.

Nothing is fetched, and all of it ends soon, whatever a stranger wrote.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import count
from time import thread_time
from typing import Any
from urllib.parse import unquote

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import (
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    extend,
)
from referencing import Registry

from api.errors import BackEndFailed, InvalidOption
from api.runtime.members import (
    REFERENCES,
    Endless,
    Schema,
    additional_properties,
    pattern_properties,
    unevaluated_properties,
)
from api.runtime.patterns import TooLong, is_in, is_read
from api.runtime.schema_bounds import NAMED_SCHEMAS, VALUES, fault_of_bounds

INVALID_ANSWER = "invalid_answer"
"""The `code` of an answer that does not hold its schema."""
MAX_SCHEMA_CHARACTERS = 32_768
MAX_STEPS = 10_000
"""References that are followed for one value; thirty levels of `oneOf` with two each would be a thousand million."""
MAX_SECONDS = 1.0
"""Of the processor, for one value: a list of thousands held against thousands of choices would take hours."""
_OF_A_WHOLE = frozenset({"$schema", "$id"})
_HERE = ("not", "if", "then", "else")
_EACH_HERE = ("allOf", "anyOf", "oneOf")
_BY_MEMBER = ("dependentSchemas", "dependencies")
"""Members that hold schemas for the same value."""


def _called(draft: str) -> str:
    return draft.rstrip("#").removeprefix("https://").removeprefix("http://")


def _pattern(validator: Any, wanted: str, text: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(text, "string") and is_in(wanted, text) is False:
        yield ValidationError(f"{text[:80]!r} does not match {wanted[:80]!r}")


def _unique_items(
    validator: Any, wanted: Any, items: Any, _schema: Any
) -> Iterator[ValidationError]:
    """`uniqueItems` in time that grows with the list alone; the library compares each item with each."""
    if wanted and validator.is_type(items, "array"):
        known = {json.dumps(_numbered(one), sort_keys=True) for one in items}
        if len(known) < len(items):
            yield ValidationError("has an item twice")


def _numbered(value: Any) -> Any:
    """A value whose numbers are written alike where they are one: 1.0 is 1."""
    if isinstance(value, Mapping):
        return {name: _numbered(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbered(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_KEYWORDS = {
    "additionalProperties": additional_properties,
    "pattern": _pattern,
    "patternProperties": pattern_properties,
    "unevaluatedProperties": unevaluated_properties,
    "uniqueItems": _unique_items,
}


def _of(draft: Any) -> dict[str, Any]:
    """Those of our keywords that a draft knows."""
    return {name: own for name, own in _KEYWORDS.items() if name in draft.VALIDATORS}


_DRAFTS: Mapping[str, Any] = {
    _called(one.META_SCHEMA["$schema"]): extend(one, _of(one), version=version)
    for version, one in (
        ("draft4", Draft4Validator),
        ("draft6", Draft6Validator),
        ("draft7", Draft7Validator),
        ("draft2019-09", Draft201909Validator),
        ("draft2020-12", Draft202012Validator),
    )
}
"""By what `$schema` says. They take the places of the library's own, which check schemas by each other."""


NOT_READ = (
    "is no pattern that is read here: JavaScript's are, if they neither look ahead or behind nor refer back to a "
    "group, nor repeat much very often. Leave it out, and check where the value is used."
)


class _LeadsNowhere(Exception):
    """A reference that cannot be followed; the message says why."""


class CheckedSchema(dict[str, Any]):
    """A schema that was made of checked ones, and need not be checked itself. Who made it reads what was answered."""


def check_schema(schema: Any, name: str, where: str, *, patterns: bool = True) -> None:
    """`InvalidOption` that says what is wrong with a schema, as part of what is called `name` and `where` it stands.

    Without `patterns` it may have some that are not read, and nothing is held against those.
    """
    if why := _fault(schema, patterns):
        raise InvalidOption(f"{name}: {why}", where=where)


def _fault(schema: Any, patterns: bool) -> str | None:
    try:
        text = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError):
        return "this is no JSON."
    except RecursionError:
        return "it is too deep."
    if len(text) > MAX_SCHEMA_CHARACTERS:
        return f"{len(text)} characters; {MAX_SCHEMA_CHARACTERS} are allowed."
    return _fault_of(text, patterns)


@lru_cache(maxsize=256)
def _fault_of(text: str, patterns: bool) -> str | None:
    """Remembered, for each request is checked at several doors, and many ask with the same tools."""
    try:
        schema = json.loads(text)
        if not isinstance(schema, Mapping):
            return "this is no JSON schema, which is an object."
        _draft(schema).check_schema(schema, _formats(patterns))
        _follow_references(schema)
        return fault_of_bounds(schema)
    except SchemaError as error:
        if error.validator == "format":
            return f"at {error.json_path}, {str(error.instance)[:80]!r} {NOT_READ}"
        return f"at {error.json_path}, {error.message[:200]}."
    except Endless:
        return "its patterns take too long to read."
    except KeyError:
        return f"$schema is none of {', '.join(_DRAFTS)}."
    except _LeadsNowhere as error:
        return str(error)
    except (TypeError, ValueError, AttributeError):
        return "this is no JSON schema."
    except RecursionError:
        return "it is too deep."


def _formats(patterns: bool) -> FormatChecker:
    """What a schema for schemas calls a `regex` is a pattern that is read here."""
    checker, end = FormatChecker(formats=()), thread_time() + MAX_SECONDS

    def read(pattern: object) -> bool:
        if thread_time() > end:
            raise Endless
        return not isinstance(pattern, str) or is_read(pattern)

    if patterns:
        checker.checks("regex")(read)
    return checker


def _follow_references(schema: Schema) -> None:
    known: dict[int, float] = {}

    def follow(reference: str) -> str:
        told = f"$ref {reference[:80]!r} leads"
        if not reference.startswith("#"):
            raise _LeadsNowhere(f"{told} out of the schema; only #/... is followed.")
        found = _part(schema, reference)
        if not isinstance(found, Mapping | bool):
            raise _LeadsNowhere(f"{told} to nothing.")
        if _steps(found, schema, known) > MAX_STEPS:
            raise _LeadsNowhere(f"{told} on to too many others, or to itself.")
        return reference

    _mapped(schema, follow)


def placed(schema: Schema, place: str) -> Any:
    """A schema as part of another one, where it stands at `place`, such as `#/$defs/one`."""
    return _mapped(schema, lambda reference: place + reference.removeprefix("#"), _OF_A_WHOLE)


def violation(schema: Schema, value: Any) -> str | None:
    """What of a value the schema does not allow."""
    try:
        validator = _counting(_draft(schema))
        bare = _mapped(schema, lambda reference: reference, _OF_A_WHOLE)
        fault: ValidationError | None = best_match(
            validator(bare, registry=Registry()).iter_errors(value)
        )
    except Endless:
        return "it takes too many steps to hold the value against it"
    except TooLong as error:
        return str(error)
    except Exception as error:  # whatever a foreign schema brings the library to
        return f"the schema cannot be followed ({type(error).__name__.lstrip('_')})"
    return fault and f"at {fault.json_path}, {fault.message[:200]}"


def require_held(schema: Schema, text: str) -> None:
    """`BackEndFailed` for an answer that is no value of its schema, whatever its back end promised."""
    try:
        fault = violation(schema, json.loads(text, parse_constant=_no_json))
    except (ValueError, RecursionError) as error:
        fault = f"it is no JSON ({error})"
    if fault:
        raise BackEndFailed(
            f"The model's answer does not hold its schema: {fault}. Ask again.",
            code=INVALID_ANSWER,
        )


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _draft(schema: Schema) -> Any:
    """What a schema is written in; `KeyError` for what nobody knows."""
    said = schema.get("$schema", Draft202012Validator.META_SCHEMA["$schema"])
    return _DRAFTS[_called(str(said))]


def _counting(validator: Any) -> Any:
    """A validator that gives up after `MAX_STEPS` or `MAX_SECONDS`."""
    steps, end = count(1), thread_time() + MAX_SECONDS

    def counted(name: str, follow: Callable[..., Any]) -> Callable[..., Any]:
        is_step = name in REFERENCES

        def followed(*where: Any) -> Iterator[ValidationError]:
            if thread_time() > end or (is_step and next(steps) > MAX_STEPS):
                raise Endless
            yield from follow(*where) or ()

        return followed

    known = validator.VALIDATORS
    return extend(validator, {name: counted(name, follow) for name, follow in known.items()})


def _steps(schema: Any, whole: Schema, known: dict[int, float]) -> float:
    """Schemas that one value is held against, without what is inside of it; infinite where a schema leads to itself."""
    if not isinstance(schema, Mapping):
        return 1
    if id(schema) not in known:
        known[id(schema)] = math.inf
        held = [schema[name] for name in _HERE if name in schema]
        held += [one for name in _EACH_HERE for one in schema.get(name, ())]
        held += [one for name in _BY_MEMBER for one in schema.get(name, {}).values()]
        if isinstance(reference := schema.get("$ref"), str):
            held.append(_part(whole, reference))
        known[id(schema)] = 1 + sum(_steps(one, whole, known) for one in held)
    return known[id(schema)]


def _part(schema: Any, reference: str) -> Any:
    """Where a reference within a schema leads, None where to nothing."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    for step in unquote(reference).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and name.isdecimal() and int(name) < len(schema):
            schema = schema[int(name)]
        elif isinstance(schema, Mapping) and name in schema:
            schema = schema[name]
        else:
            return None
    return schema


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
        elif key in VALUES:
            made[key] = value
        elif key in NAMED_SCHEMAS and isinstance(value, Mapping):
            made[key] = {name: _mapped(one, reference, without) for name, one in value.items()}
        else:
            made[key] = _mapped(value, reference, without)
    return made
