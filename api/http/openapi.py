"""A request in OpenAPI, as the Swagger page asks for it: each parameter once, and nothing filled in that nobody chose.

Parameters stand in the form beside the files where there are any, else in the query. That a form or JSON does as
well is said in words: written down, it would be a second list of the same parameters, sent along and given twice.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api.http.problems import PROBLEM, PROBLEM_SCHEMA
from api.http.request_body import MULTIPART

Schema = dict[str, Any]

UNDESCRIBED = "Successful Response"
"""What FastAPI says of an answer that nobody describes."""
NO_FILES: Mapping[str, str] = {}
EMPTY: Schema = {"examples": [""]}
"""Keeps the page from making values up for a form; an empty field is as left out."""


def documented(
    model: type[BaseModel],
    *,
    files: Mapping[str, str] = NO_FILES,
    optional_files: Mapping[str, str] = NO_FILES,
    most_files: int = 0,
) -> Schema:
    """A route's `openapi_extra`: its files, each with what it is, and its fields, the required ones first.

    A field of a file's name, a text in its place, stands in the query: the page shows one field of a name in a form.
    """
    schema = _inlined(model.model_json_schema())
    required = schema.get("required", [])
    fields: dict[str, Schema] = dict(schema.get("properties", {}))
    names = sorted(fields, key=lambda name: name not in required)
    if files or optional_files:
        instead = [name for name in names if name in files or name in optional_files]
        rest = [name for name in names if name not in instead]
        needed = {name: text for name, text in files.items() if name not in instead}
        others = {name: text for name, text in files.items() if name in instead}
        body = _form(fields, rest, required, needed, {**others, **optional_files}, most_files)
        parameters = [_parameter(name, fields[name], False) for name in instead]
        return {"requestBody": body} | ({"parameters": parameters} if parameters else {})
    return {"parameters": [_parameter(name, fields[name], name in required) for name in names]}


def describe_answers(app: FastAPI) -> None:
    """Say of each answer what its model says, and put the schema of all refusals among the app's schemas."""
    describe = app.openapi

    def openapi() -> Schema:
        schema = describe()
        schemas = schema["components"]["schemas"]
        schemas[PROBLEM] = PROBLEM_SCHEMA
        operations = [one for path in schema["paths"].values() for one in path.values()]
        for answer in (one for operation in operations for one in operation["responses"].values()):
            if answer["description"] == UNDESCRIBED:
                answer["description"] = _model_of(answer, schemas).get("description", "The answer.")
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _model_of(answer: Schema, schemas: Schema) -> Schema:
    told = answer.get("content", {}).get("application/json", {}).get("schema", {})
    found: Schema = schemas.get(told.get("$ref", "").rpartition("/")[2], {})
    return found


def _form(
    fields: Mapping[str, Schema],
    names: Sequence[str],
    required: Sequence[str],
    files: Mapping[str, str],
    optional_files: Mapping[str, str],
    most_files: int,
) -> Schema:
    file: Schema = {"type": "string", "format": "binary"}
    if most_files:
        file = {"type": "array", "items": file, "maxItems": most_files}
    parts = {
        name: file | {"description": description}
        for name, description in {**files, **optional_files}.items()
    }
    values = {
        name: {**_one_text(fields[name]), "description": _description(fields[name])} | EMPTY
        for name in names
    }
    schema: Schema = {
        "type": "object",
        "properties": parts | values,
        "required": [*files, *required],
    }
    return {"required": True, "content": {MULTIPART: {"schema": schema}}}


def _parameter(name: str, schema: Schema, is_required: bool) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": is_required,
        "description": _description(schema),
        "schema": _as_text(schema),
    }


def _description(schema: Schema) -> str:
    """The default is said in words: the page would fill in the one that it is told."""
    parts = [schema.get("description", "")]
    members = _members(schema)
    default = schema.get("default")
    if members:
        kind = "list of objects" if _without_null(schema).get("type") == "array" else "object"
        parts.append(f"A JSON {kind} with {', '.join(f'`{name}`' for name in members)}.")
    elif default not in (None, "", []):
        parts.append(f"Default: `{_in_words(default)}`.")
    parts += [f"Example: `{_in_words(example)}`." for example in schema.get("examples", ())[:1]]
    return " ".join(part for part in parts if part)


def _in_words(value: Any) -> str:
    """A value as somebody types it; of a list, one."""
    if isinstance(value, list):
        value = value[0]
    return value if isinstance(value, str) else json.dumps(value)


def _members(schema: Schema) -> list[str]:
    """What the values of a field consist of, where they are objects or lists of objects."""
    plain = _without_null(schema)
    plain = plain.get("items", plain)
    return list(plain.get("properties", ()))


def _without_null(schema: Schema) -> Schema:
    """What is left out needs no null."""
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **choices[0]} if len(choices) == 1 else schema


def _as_text(schema: Schema) -> Schema:
    """The values of a field as a query or a form has them; an object is written as JSON."""
    if _members(schema) or _without_null(schema).get("type") == "object":
        return {"type": "string"}
    told = ("title", "description", "default")
    return {key: value for key, value in _without_null(schema).items() if key not in told}


def _one_text(schema: Schema) -> Schema:
    """The same in a form, where the page reads an empty field of any other type as JSON, and breaks: of a list, one."""
    text = _as_text(schema)
    text = text.get("items", text)
    return text if "type" in text else {"type": "string"}


def _inlined(schema: Schema) -> Schema:
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            referred = definitions[node["$ref"].rpartition("/")[2]]
            return resolve({**referred, **{k: v for k, v in node.items() if k != "$ref"}})
        return {key: resolve(value) for key, value in node.items()}

    resolved: Schema = resolve(schema)
    return resolved
