"""Each member of each request, as its model declares it, in every wrong shape: never a 5xx, always in form."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from api.http.anthropic_errors import is_anthropic
from api.routes.anthropic.messages import MessagesRequest
from api.routes.openai.chat import ChatRequest
from api.routes.openai.completions import CompletionRequest
from api.routes.openai.embeddings import EmbeddingsRequest
from api.routes.openai.fine_tuning.request import CreateJobRequest
from api.routes.openai.responses.request import ResponseRequest
from api.routes.openai.sampling import Sampling
from api.routes.openai.uploads import UploadRequest
from api.routes.openai.vector_stores import StoreSearchRequest, VectorStoreRequest
from tests.service import Service

Path = tuple[str | int, ...]
JSON = dict[str, Any]

ENDPOINTS: list[tuple[str, type[BaseModel], JSON]] = [
    (
        "/v1/chat/completions",
        ChatRequest,
        {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]},
    ),
    ("/v1/completions", CompletionRequest, {"model": "demo", "prompt": "Hello"}),
    ("/v1/embeddings", EmbeddingsRequest, {"model": "all-minilm-l6-v2-int8", "input": "Hello"}),
    ("/v1/vector_stores", VectorStoreRequest, {}),
    ("/v1/vector_stores/ours/search", StoreSearchRequest, {"query": "Hello"}),
    (
        "/v1/messages",
        MessagesRequest,
        {"model": "demo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]},
    ),
    ("/v1/responses", ResponseRequest, {"model": "demo", "input": "Hello", "store": False}),
    (
        "/v1/uploads",
        UploadRequest,
        {"bytes": 1, "filename": "a.txt", "mime_type": "text/plain", "purpose": "vision"},
    ),
]
DEEP = "a deep list"
SHALLOW = 2
"""How deep each value stands at each place; below, at every other place in turn."""
FILTERS = ("Comparison", "Compound")
"""Shapes that are tried where stores are searched, and not once more."""
HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1.5,
    10**30,
    10**400,
    float("nan"),
    float("-inf"),
    "",
    "\x00\ud800",
    "long " * 20_000,
    [],
    [None, [{}]],
    {},
    {"": None, "type": {"$ref": "#"}},
    DEEP,
]


def samples(schema: JSON, known: JSON) -> list[Any]:
    """Values of a schema: one of each of its alternatives, with all members that it may have."""
    if "$ref" in schema:  # one that leads to itself has no sample within
        name = schema["$ref"].rpartition("/")[2]
        others = {other: one for other, one in known.items() if other != name}
        return samples(known[name], others) if name in known else []
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return [one for each in schema[name] for one in samples(each, known)]
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return [schema["enum"][0]]
    match schema.get("type"):
        case "object":
            return _objects(schema, known)
        case "array":
            return [samples(schema["items"], known)]
        case "null":
            return []
    plain = {"string": "name", "integer": 1, "number": 1, "boolean": True}
    return [plain.get(schema.get("type", ""), {})]


def _objects(schema: JSON, known: JSON) -> list[Any]:
    if "properties" not in schema:
        inner = schema.get("additionalProperties") or schema.get("patternProperties")
        return [{"7": 1}] if inner else [{}]
    each = {name: samples(one, known) for name, one in schema["properties"].items()}
    first = {name: found[0] for name, found in each.items() if found}
    others = [{**first, name: one} for name, found in each.items() for one in found[1:]]
    return [first, *others]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The value itself and all that is in it."""
    yield path
    if isinstance(value, dict | list):
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, name))


def put(value: Any, path: Path, other: Any) -> Any:
    """The value with another one at a place."""
    if not path:
        return other
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], other)
    return changed


def requests(model: type[BaseModel], base: JSON) -> Iterator[tuple[str, bytes]]:
    """Where something is wrong, and the body."""
    schema = model.model_json_schema()
    shared = () if model is StoreSearchRequest else FILTERS
    known = {name: one for name, one in schema.get("$defs", {}).items() if name not in shared}
    seen: set[str] = set()
    for name, member in schema["properties"].items():
        if name in Sampling.model_fields and model is not ChatRequest:
            continue  # the same for all
        for sample in samples(member, known):
            for number, path in enumerate(places(sample)):
                values = HOSTILE if len(path) <= SHALLOW else HOSTILE[number % 2 :: 2]
                for hostile in values:
                    body = json.dumps({**base, name: put(sample, path, hostile)})
                    if body not in seen:
                        seen.add(body)
                        deep = "[" * 2000 + "]" * 2000
                        where = ".".join(map(str, (name, *path)))
                        yield where, body.replace(f'"{DEEP}"', deep).encode()


def is_in_form(client: TestClient, path: str, body: bytes) -> str:
    """What is wrong with the answer, nothing where it is one or is refused in the path's form."""
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    if answer.status_code == 200:
        return ""
    error = answer.json().get("error", {})
    is_refused = 400 <= answer.status_code < 500
    form = {"message", "type"} if is_anthropic(path) else {"message", "type", "param", "code"}
    has_form = set(error) == form
    return "" if is_refused and has_form else f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.parametrize(("path", "model", "base"), ENDPOINTS)
def test_nothing_hostile_is_a_defect(
    service: Service, path: str, model: type[BaseModel], base: JSON
) -> None:
    service.client.post("/collections", json={"name": "ours"})
    assert service.client.post(path, json=base).status_code == 200
    count = 0
    wrong: list[str] = []
    for where, body in requests(model, base):
        count += 1
        if found := is_in_form(service.client, path, body):
            wrong.append(f"{where} {body[:120]!r}: {found}")
    assert not wrong, wrong[:10]
    assert count > 10 * len(model.model_fields.keys() - Sampling.model_fields.keys())


def test_nothing_hostile_is_a_defect_of_a_job_whose_base_is_missing(service: Service) -> None:
    """Of the hyperparameters, which are many and stand in three places, a third in one of these."""
    base = {"model": "nobody", "training_file": "ds_0123456789abcdef"}
    path = "/v1/fine_tuning/jobs"
    every = list(requests(CreateJobRequest, base))
    some = [one for one in every if ".hyperparameters." not in one[0]]
    wrong = [
        f"{where} {body[:120]!r}: {found}"
        for where, body in some[::3]
        if (found := is_in_form(service.client, path, body))
    ]
    assert not wrong, wrong[:10]
