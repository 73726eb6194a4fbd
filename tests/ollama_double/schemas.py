"""What llama.cpp says of a JSON schema that it cannot follow."""

import json
from collections.abc import Iterator
from typing import Any

from tests.ollama_double.wire import Failure

_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
_WORDS = {
    "$ref",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "properties",
    "items",
    "pattern",
    "type",
}


def check_schema(schema: dict[str, Any]) -> None:
    """Refuse a schema as llama.cpp does: an error within an error."""
    fault = next(_faults(schema, schema), None)
    if fault:
        message = f"JSON schema conversion failed:\n{fault}"
        told = {"code": 400, "message": message, "type": "invalid_request_error"}
        raise Failure(400, json.dumps({"error": told}, separators=(",", ":")))


def _faults(schema: Any, root: dict[str, Any]) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    shown = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
    types = schema.get("type", [])
    known = all(each in _TYPES for each in ([types] if isinstance(types, str) else types))
    if not known or (schema and not _WORDS & set(schema)):
        yield f"Unrecognized schema: {shown}"
    if "$ref" in schema and not _resolves(schema["$ref"], root):
        yield f"Error resolving ref {schema['$ref']}: {schema['$ref'].split('/')[-1]} not in {shown}"
    pattern = schema.get("pattern")
    if pattern is not None and not (pattern.startswith("^") and pattern.endswith("$")):
        yield "Pattern must start with '^' and end with '$'"
    for inner in _inner(schema):
        yield from _faults(inner, root)


def _inner(schema: dict[str, Any]) -> Iterator[Any]:
    yield from schema.get("properties", {}).values()
    for word in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(word, ())
    items = schema.get("items")
    yield from items if isinstance(items, list) else [items]


def _resolves(reference: str, root: Any) -> bool:
    place = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        place = place.get(step) if isinstance(place, dict) else None
    return reference.startswith("#/") and place is not None
