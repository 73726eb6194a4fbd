"""No route shows, names, searches or guesses what another workspace has: its ids and names are as if made up."""

import contextlib
import importlib
import json
import pkgutil
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.testclient import TestClient

import api.routes
from api.auth.callers import ANYONE, CALLER
from api.data_folder.shelf import Shelf
from api.http.request import get_callers_services
from api.opening import Once
from api.services import Services
from api.store.collection_files import NewFile
from api.store.jobs import new_job_id
from tests.routes.test_adapters import adapter, zipped
from tests.service import Service, open_service

WORKSPACES = ("default", "team")
DEMO = "demo"
WORDS = "The zeppelin of the Northwind museum hangs above the stairs."
TEXT = ("zeppelin.txt", WORDS.encode())
QUESTIONS = b"question,document,page\nWhere is the zeppelin?,%s,1\n"

Answer = Any
Ask = Callable[[TestClient, str], Answer]


@dataclass(frozen=True)
class Case:
    """A request that names a thing of a kind in one of its fields."""

    kind: str
    ask: Ask


MADE_UP = {
    "model": "zoja",
    "name": "made up",
    "collection": "col_0123456789abcdef",
    "document": "doc_0123456789abcdef",
    "file": "madeup.txt",
    "job": "job_0123456789abcdef",
    "dataset": "ds_0123456789abcdef",
    "evaluation": "ev_0123456789abcdef",
    "measurement": "me_0123456789abcdef",
    "sweep": "sw_0123456789abcdef",
    "sent": "file_0123456789abcdef",
    "response": "resp_0123456789abcdef",
    "item": "msg_0123456789abcdef",
    "upload": "upload_0123456789abcdef",
    "batch": "batch_0123456789abcdef",
    "file_batch": "vsfb_0123456789abcdef",
    "table": "tb_0123456789abcdef",
    "prediction": "pr_0123456789abcdef",
}
"""Of each kind of thing one that nobody has."""

SHELVES = {
    "dataset": ("datasets", "ds", "dataset"),
    "evaluation": ("evaluations", "ev", "evaluation"),
    "measurement": ("evaluations", "me", "measurement"),
    "sweep": ("sweeps", "sw", "sweep"),
    "sent": ("files", "file", "file"),
    "upload": ("files", "upload", "upload"),
    "batch": ("batches", "batch", "batch"),
    "table": ("tables", "tb", "table"),
    "prediction": ("predictions", "pr", "prediction"),
}
CARDS = {
    "table": {
        "name": "zoo",
        "rows": 0,
        "size_bytes": 0,
        "columns": [],
        "made_from": {},
        "first_rows": [],
    },
}
"""What stands on a card that is looked at before its thing is found."""

WITHOUT = {
    "GET /healthz",
    "GET /readyz",
    "POST /collections",
    "POST /datasets",
    "POST /tables",
    "GET /databases",
    "POST /v1/files",
    "POST /v1/uploads",
    "GET /v1/models",
    "GET /list_models",
}
"""Routes that take neither an id nor a name of a thing that is there."""
OF_THE_INSTALLATION = ("/backends", "/keys", "/usage", "/metrics")
"""Paths of admins of the installation, who see all workspaces."""


def of(kind: str, method: str, path: str, **more: Any) -> Case:
    """The thing stands in the path."""
    return Case(kind, lambda client, it: client.request(method, path.format(it), **more))


def query(kind: str, method: str, path: str, field: str, **more: Any) -> Case:
    """The thing stands in a field beside others."""
    params = more.pop("params", {})
    return Case(
        kind,
        lambda client, it: client.request(method, path, params={**params, field: it}, **more),
    )


def body(kind: str, path: str, field: str, **others: Any) -> Case:
    """The thing stands in a field of a JSON body; in a list where the field ends with []."""

    def ask(client: TestClient, it: str) -> Answer:
        value: Any = [it] if field.endswith("[]") else it
        return client.post(path, json={**others, field.removesuffix("[]"): value})

    return Case(kind, ask)


def learned(path: str, **others: Any) -> Case:
    """A table's rows are learned."""
    return Case(
        "table",
        lambda client, it: client.post(path, json={**others, "train_table": {"table": it}}),
    )


def measured(kind: str, **fields: str) -> Case:
    """Questions about the thing, or asked where it says."""

    def ask(client: TestClient, it: str) -> Answer:
        questions = QUESTIONS % (it if kind == "file" else TEXT[0]).encode()
        data = {name: value.format(it) for name, value in fields.items()}
        files = {"questions": ("q.csv", questions)}
        return client.post("/evaluations/retrieval", data=data, files=files)

    return Case(kind, ask)


def files(kind: str, path: str, field: str, name: str) -> Case:
    """A file that comes to the thing."""
    return Case(kind, lambda client, it: client.post(path, params={field: it}, files={name: TEXT}))


def called(kind: str, tool: str, field: str, **others: Any) -> Case:
    """The thing stands among the arguments of a tool; in a list where the field ends with []."""

    def ask(client: TestClient, it: str) -> Answer:
        value: Any = [it] if field.endswith("[]") else it
        arguments = {**others, field.removesuffix("[]"): value}
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return client.post("/mcp", json=message, headers={"Accept": "application/json"})

    return Case(kind, ask)


def in_store(kind: str, method: str, path: str, **more: Any) -> Case:
    """The thing stands in the path, below a vector store of who asks."""

    def ask(client: TestClient, it: str) -> Answer:
        return client.request(method, f"{own_store(client)}{path.format(it)}", **more)

    return Case(kind, ask)


def in_store_body(kind: str, path: str, field: str) -> Case:
    """The thing stands in a field of what is sent below a vector store of who asks."""
    return Case(
        kind, lambda client, it: body(kind, own_store(client) + path, field).ask(client, it)
    )


def own_store(client: TestClient) -> str:
    """The path of a new vector store."""
    made = client.post("/v1/vector_stores", json={}).json()
    return f"/v1/vector_stores/{made['id']}"


def searching(store: str) -> dict[str, Any]:
    """The tool that searches a vector store."""
    return {"type": "file_search", "vector_store_ids": [store]}


ASKED = {"user_prompt": "Where?", "model_name": DEMO}
TURN = [{"role": "user", "content": "Where?"}]
MESSAGE = {"model": DEMO, "max_tokens": 9, "messages": TURN}
COLUMNS = {"input": "name", "into": "said"}
SWEPT = {"model_name": "swept", "parameters": {"seed": [1, 2]}, "method": "grid"}

CASES: dict[str, tuple[Case, ...]] = {
    "POST /createModel/{modelName}": (
        body("model", "/createModel/new", "baseModel"),
        body("collection", "/createModel/new", "collection", baseModel=DEMO),
    ),
    "GET /show_model/{modelName:path}": (of("model", "GET", "/show_model/{}"),),
    "DELETE /deleteModel/{modelName:path}": (of("model", "DELETE", "/deleteModel/{}"),),
    "GET /collections": (query("collection", "GET", "/collections", "after"),),
    "POST /collections/{collection:path}/embed": (
        of("collection", "POST", "/collections/{}/embed"),
        of("name", "POST", "/collections/{}/embed"),
    ),
    "POST /collections/{collection:path}/embed/rollback": (
        of("collection", "POST", "/collections/{}/embed/rollback"),
    ),
    "DELETE /collections/{collection:path}/embed": (
        of("collection", "DELETE", "/collections/{}/embed"),
    ),
    "GET /collections/{collection:path}": (
        of("collection", "GET", "/collections/{}"),
        of("name", "GET", "/collections/{}"),
    ),
    "DELETE /collections/{collection:path}": (
        of("collection", "DELETE", "/collections/{}"),
        of("name", "DELETE", "/collections/{}"),
    ),
    "POST /importDocument": (
        files("model", "/importDocument", "modelName", "file"),
        files("collection", "/importDocument", "collection", "file"),
    ),
    "POST /importDocuments": (
        files("model", "/importDocuments", "modelName", "file"),
        files("name", "/importDocuments", "collection", "file"),
    ),
    "GET /list_documents": (
        query("model", "GET", "/list_documents", "modelName"),
        query("collection", "GET", "/list_documents", "collection"),
        query("document", "GET", "/list_documents", "after", params={"modelName": DEMO}),
    ),
    "GET /documents/{document_id}": (of("document", "GET", "/documents/{}"),),
    "DELETE /delete_document": (
        query("document", "DELETE", "/delete_document", "document", params={"modelName": DEMO}),
        query("file", "DELETE", "/delete_document", "document", params={"modelName": DEMO}),
    ),
    "DELETE /deleteAll_Documents": (
        query("model", "DELETE", "/deleteAll_Documents", "modelName"),
        query("collection", "DELETE", "/deleteAll_Documents", "collection"),
    ),
    "POST /generate": (
        body("model", "/generate", "model_name", user_prompt="Where?"),
        body("document", "/generate", "documents[]", **ASKED),
        body("file", "/generate", "documents[]", **ASKED),
        body("collection", "/generate", "collection", **ASKED),
    ),
    "PATCH /models/{modelName:path}": (of("model", "PATCH", "/models/{}", json={"options": {}}),),
    "POST /complete": (body("model", "/complete", "model", prompt="Once"),),
    "POST /embed": (body("model", "/embed", "model", input=["Once"]),),
    "POST /implement": (body("model", "/implement", "model_name", function="def f(): ..."),),
    "POST /search": (
        body("model", "/search", "model_name", query="zeppelin"),
        body("collection", "/search", "collection", query="zeppelin"),
        body("document", "/search", "documents[]", query="zeppelin", model_name=DEMO),
    ),
    "GET /datasets": (query("dataset", "GET", "/datasets", "after"),),
    "GET /datasets/{id}": (of("dataset", "GET", "/datasets/{}"),),
    "DELETE /datasets/{id}": (of("dataset", "DELETE", "/datasets/{}"),),
    "POST /fine_tune_model/{modelName}": (
        query(
            "dataset",
            "POST",
            "/fine_tune_model/new",
            "train_dataset",
            params={"baseModel": DEMO},
        ),
        query(
            "collection",
            "POST",
            "/fine_tune_model/new",
            "collection",
            params={"baseModel": DEMO, "method": "pretrain"},
        ),
        query("model", "POST", "/fine_tune_model/new", "baseModel", params={"train_dataset": "x"}),
        learned("/fine_tune_model/new", base_model=DEMO),
    ),
    "POST /adapters": (
        query(
            "model",
            "POST",
            "/adapters",
            "baseModel",
            params={"modelName": "new"},
            files={"adapter": ("adapter.zip", zipped(adapter()))},
        ),
    ),
    "GET /jobs": (query("job", "GET", "/jobs", "after"),),
    "GET /jobs/{id}": (of("job", "GET", "/jobs/{}"),),
    "GET /jobs/{id}/events": (of("job", "GET", "/jobs/{}/events"),),
    "GET /jobs/{id}/log": (of("job", "GET", "/jobs/{}/log"),),
    "GET /jobs/{id}/files": (of("job", "GET", "/jobs/{}/files"),),
    "GET /jobs/{id}/files/{path:path}": (of("job", "GET", "/jobs/{}/files/model.gguf"),),
    "HEAD /jobs/{id}/files/{path:path}": (of("job", "HEAD", "/jobs/{}/files/model.gguf"),),
    "GET /jobs/compare": (
        Case("job", lambda client, it: client.get(f"/jobs/compare?ids={it},job_1")),
    ),
    "GET /jobs/{id}/report": (of("job", "GET", "/jobs/{}/report"),),
    "POST /jobs/{id}/cancel": (of("job", "POST", "/jobs/{}/cancel"),),
    "POST /jobs/{id}/resume": (of("job", "POST", "/jobs/{}/resume"),),
    "POST /jobs/{id}/publish": (
        of("job", "POST", "/jobs/{}/publish"),
        of("job", "POST", "/jobs/{}/publish", json={"checkpoint": "best"}),
    ),
    "POST /jobs/{id}/priority": (of("job", "POST", "/jobs/{}/priority", json={"priority": 3}),),
    "DELETE /jobs/{id}": (of("job", "DELETE", "/jobs/{}"),),
    "POST /sweeps": (
        body("dataset", "/sweeps", "train_dataset", base_model=DEMO, **SWEPT),
        learned("/sweeps", base_model=DEMO, **SWEPT),
    ),
    "GET /sweeps": (query("sweep", "GET", "/sweeps", "after"),),
    "GET /sweeps/{id}": (of("sweep", "GET", "/sweeps/{}"),),
    "POST /sweeps/{id}/cancel": (of("sweep", "POST", "/sweeps/{}/cancel"),),
    "POST /sweeps/{id}/publish": (of("sweep", "POST", "/sweeps/{}/publish"),),
    "DELETE /sweeps/{id}": (of("sweep", "DELETE", "/sweeps/{}"),),
    "POST /evaluations/retrieval": (
        measured("model", modelName="{}"),
        measured("collection", collection="{}"),
        measured("file", modelName=DEMO),
    ),
    "GET /evaluations/retrieval": (
        query("measurement", "GET", "/evaluations/retrieval", "after"),
        query("collection", "GET", "/evaluations/retrieval", "collection"),
    ),
    "POST /evaluations/retrieval/proposals": (
        body("model", "/evaluations/retrieval/proposals", "model_name"),
        body("collection", "/evaluations/retrieval/proposals", "collection", model_name=DEMO),
    ),
    "GET /evaluations/retrieval/{id}": (of("measurement", "GET", "/evaluations/retrieval/{}"),),
    "DELETE /evaluations/retrieval/{id}": (
        of("measurement", "DELETE", "/evaluations/retrieval/{}"),
    ),
    "POST /evaluations": (
        query("model", "POST", "/evaluations", "modelName", params={"questions": "x"}),
        query(
            "model",
            "POST",
            "/evaluations",
            "baseModel",
            params={"modelName": DEMO, "questions": "x"},
        ),
        query(
            "dataset",
            "POST",
            "/evaluations",
            "questions",
            params={"modelName": DEMO, "baseModel": DEMO},
        ),
    ),
    "GET /evaluations": (query("evaluation", "GET", "/evaluations", "after"),),
    "GET /evaluations/{id}": (of("evaluation", "GET", "/evaluations/{}"),),
    "POST /evaluations/{id}/cancel": (of("evaluation", "POST", "/evaluations/{}/cancel"),),
    "DELETE /evaluations/{id}": (of("evaluation", "DELETE", "/evaluations/{}"),),
    "POST /v1/chat/completions": (
        body("model", "/v1/chat/completions", "model", messages=TURN),
        body("collection", "/v1/chat/completions", "collection", model=DEMO, messages=TURN),
        body("document", "/v1/chat/completions", "documents[]", model=DEMO, messages=TURN),
    ),
    "POST /v1/completions": (body("model", "/v1/completions", "model", prompt="Once"),),
    "POST /v1/embeddings": (body("model", "/v1/embeddings", "model", input="Once"),),
    "GET /tables": (query("table", "GET", "/tables", "after"),),
    "GET /tables/{name}": (of("table", "GET", "/tables/{}"),),
    "DELETE /tables/{name}": (of("table", "DELETE", "/tables/{}"),),
    "POST /predict": (
        body("table", "/predict", "table", model_name=DEMO, **COLUMNS),
        body("model", "/predict", "model_name", table="zoo", **COLUMNS),
    ),
    "GET /predict": (query("prediction", "GET", "/predict", "after"),),
    "GET /predict/{id}": (of("prediction", "GET", "/predict/{}"),),
    "GET /predict/{id}/log": (of("prediction", "GET", "/predict/{}/log"),),
    "POST /predict/{id}/cancel": (of("prediction", "POST", "/predict/{}/cancel"),),
    "POST /predict/{id}/resume": (of("prediction", "POST", "/predict/{}/resume"),),
    "DELETE /predict/{id}": (of("prediction", "DELETE", "/predict/{}"),),
    "POST /v1/batches": (
        body(
            "sent",
            "/v1/batches",
            "input_file_id",
            endpoint="/v1/embeddings",
            completion_window="24h",
        ),
    ),
    "GET /v1/batches": (query("batch", "GET", "/v1/batches", "after"),),
    "GET /v1/batches/{batch_id}": (of("batch", "GET", "/v1/batches/{}"),),
    "POST /v1/batches/{batch_id}/cancel": (of("batch", "POST", "/v1/batches/{}/cancel"),),
    "GET /v1/files": (
        query("sent", "GET", "/v1/files", "after"),
        query("dataset", "GET", "/v1/files", "after"),
    ),
    "GET /v1/files/{file_id}": (
        of("sent", "GET", "/v1/files/{}"),
        of("dataset", "GET", "/v1/files/{}"),
    ),
    "GET /v1/files/{file_id}/content": (
        of("sent", "GET", "/v1/files/{}/content"),
        of("dataset", "GET", "/v1/files/{}/content"),
    ),
    "DELETE /v1/files/{file_id}": (
        of("sent", "DELETE", "/v1/files/{}"),
        of("dataset", "DELETE", "/v1/files/{}"),
    ),
    "POST /v1/messages": (
        body("model", "/v1/messages", "model", max_tokens=9, messages=TURN),
        body("collection", "/v1/messages", "collection", **MESSAGE),
        body("document", "/v1/messages", "documents[]", **MESSAGE),
    ),
    "POST /v1/messages/count_tokens": (
        body("model", "/v1/messages/count_tokens", "model", messages=TURN),
    ),
    "POST /v1/responses": (
        body("model", "/v1/responses", "model", input="Once"),
        body("response", "/v1/responses", "previous_response_id", model=DEMO, input="Once"),
        Case(
            "collection",
            lambda client, it: client.post(
                "/v1/responses",
                json={"model": DEMO, "input": "Once", "tools": [searching(it)]},
            ),
        ),
        Case(
            "item",
            lambda client, it: client.post(
                "/v1/responses", json={"model": DEMO, "input": [{"id": it}]}
            ),
        ),
    ),
    "GET /v1/responses/{response_id}": (of("response", "GET", "/v1/responses/{}"),),
    "DELETE /v1/responses/{response_id}": (of("response", "DELETE", "/v1/responses/{}"),),
    "POST /v1/responses/{response_id}/cancel": (of("response", "POST", "/v1/responses/{}/cancel"),),
    "GET /v1/responses/{response_id}/input_items": (
        of("response", "GET", "/v1/responses/{}/input_items"),
    ),
    "POST /v1/uploads/{upload_id}/parts": (
        of("upload", "POST", "/v1/uploads/{}/parts", files={"data": TEXT}),
    ),
    "POST /v1/uploads/{upload_id}/complete": (
        of("upload", "POST", "/v1/uploads/{}/complete", json={"part_ids": ["part_1"]}),
    ),
    "POST /v1/uploads/{upload_id}/cancel": (of("upload", "POST", "/v1/uploads/{}/cancel"),),
    "POST /v1/fine_tuning/jobs": (
        body("model", "/v1/fine_tuning/jobs", "model", training_file="ds_0000000000000000"),
        body("dataset", "/v1/fine_tuning/jobs", "training_file", model=DEMO),
        body("table", "/v1/fine_tuning/jobs", "training_file", model=DEMO),
        learned("/v1/fine_tuning/jobs", model=DEMO),
        body("sent", "/v1/fine_tuning/jobs", "training_file", model=DEMO),
    ),
    "GET /v1/fine_tuning/jobs": (query("job", "GET", "/v1/fine_tuning/jobs", "after"),),
    "GET /v1/fine_tuning/jobs/{job_id}": (of("job", "GET", "/v1/fine_tuning/jobs/{}"),),
    **{
        f"POST /v1/fine_tuning/jobs/{{job_id}}/{act}": (
            of("job", "POST", f"/v1/fine_tuning/jobs/{{}}/{act}"),
        )
        for act in ("cancel", "pause", "resume")
    },
    **{
        f"GET /v1/fine_tuning/jobs/{{job_id}}/{what}": (
            of("job", "GET", f"/v1/fine_tuning/jobs/{{}}/{what}"),
        )
        for what in ("events", "checkpoints")
    },
    "POST /v1/vector_stores": (
        body("sent", "/v1/vector_stores", "file_ids[]"),
        body("dataset", "/v1/vector_stores", "file_ids[]"),
    ),
    "GET /v1/vector_stores": (
        query("collection", "GET", "/v1/vector_stores", "after"),
        query("collection", "GET", "/v1/vector_stores", "before"),
    ),
    "GET /v1/vector_stores/{vector_store_id}": (
        of("collection", "GET", "/v1/vector_stores/{}"),
        of("name", "GET", "/v1/vector_stores/{}"),
    ),
    "POST /v1/vector_stores/{vector_store_id}": (
        of("collection", "POST", "/v1/vector_stores/{}", json={"name": "mine"}),
    ),
    "DELETE /v1/vector_stores/{vector_store_id}": (
        of("collection", "DELETE", "/v1/vector_stores/{}"),
    ),
    "POST /v1/vector_stores/{vector_store_id}/search": (
        of("collection", "POST", "/v1/vector_stores/{}/search", json={"query": "zeppelin"}),
    ),
    "POST /v1/vector_stores/{vector_store_id}/files": (
        of("collection", "POST", "/v1/vector_stores/{}/files", json={"file_id": "x"}),
        in_store_body("sent", "/files", "file_id"),
    ),
    "GET /v1/vector_stores/{vector_store_id}/files": (
        of("collection", "GET", "/v1/vector_stores/{}/files"),
        in_store("document", "GET", "/files?after={}"),
    ),
    "GET /v1/vector_stores/{vector_store_id}/files/{file_id}": (
        of("collection", "GET", "/v1/vector_stores/{}/files/x"),
        in_store("document", "GET", "/files/{}"),
    ),
    "POST /v1/vector_stores/{vector_store_id}/files/{file_id}": (
        in_store("document", "POST", "/files/{}", json={"attributes": {}}),
    ),
    "DELETE /v1/vector_stores/{vector_store_id}/files/{file_id}": (
        in_store("document", "DELETE", "/files/{}"),
    ),
    "GET /v1/vector_stores/{vector_store_id}/files/{file_id}/content": (
        in_store("document", "GET", "/files/{}/content"),
    ),
    "POST /v1/vector_stores/{vector_store_id}/file_batches": (
        in_store_body("sent", "/file_batches", "file_ids[]"),
        of("collection", "POST", "/v1/vector_stores/{}/file_batches", json={"file_ids": ["x"]}),
    ),
    "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}": (
        of("collection", "GET", "/v1/vector_stores/{}/file_batches/x"),
        in_store("file_batch", "GET", "/file_batches/{}"),
    ),
    "POST /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": (
        in_store("file_batch", "POST", "/file_batches/{}/cancel"),
    ),
    "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": (
        in_store("file_batch", "GET", "/file_batches/{}/files"),
    ),
    "GET /v1/models/{model:path}": (of("model", "GET", "/v1/models/{}"),),
    "DELETE /v1/models/{model:path}": (of("model", "DELETE", "/v1/models/{}"),),
    **{
        f"{method} /shared/{kind}s/{{{spelled}:path}}": (of(kind, method, f"/shared/{kind}s/{{}}"),)
        for method in ("PUT", "DELETE")
        for kind, spelled in (("model", "modelName"), ("collection", "collection"))
    },
    "POST /sql": (body("table", "/sql", "tables[]", query="SELECT 1"),),
    "POST /analyze": (
        body("table", "/analyze", "tables[]", question="Where?", modelName=DEMO),
        body("model", "/analyze", "modelName", question="Where?"),
    ),
    "POST /mcp": (
        called("collection", "search", "collection", query="zeppelin"),
        called("name", "search", "collection", query="zeppelin"),
        called("document", "search", "documents[]", query="zeppelin", model=DEMO),
        called("model", "ask", "model", question="Where?"),
        called("collection", "ask", "collection", question="Where?"),
        called("file", "ask", "documents[]", question="Where?", model=DEMO),
        called("collection", "list_collections", "after"),
        called("name", "list_documents", "collection"),
        called("document", "list_documents", "after"),
    ),
}
"""By route what may be asked with a name or an id of another workspace. A new route gets a case here."""

NOT_404 = {
    "POST /evaluations/retrieval": 422,  # questions about documents that are not there
    "GET /evaluations/retrieval": 200,  # measurements of a collection: none
    "POST /v1/responses": 400,  # a previous response, as OpenAI refuses it
    "POST /mcp": 200,  # a refusal is told to the model that called
}
"""Where what is not there is answered otherwise."""


def routes() -> set[str]:
    """Every route of every room, as `METHOD /path`."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(api.routes.__path__, "api.routes."):
        router = getattr(importlib.import_module(module.name), "router", None)
        for route in router.routes if router else ():
            if isinstance(route, APIRoute):
                found |= {f"{method} {route.path}" for method in route.methods or ()}
    return found


@contextlib.contextmanager
def within(service: Service, workspace: str) -> Iterator[TestClient]:
    """A client whose requests come from that workspace, whoever sends them."""
    state = service.app.state
    first = state.services
    state.services = replace(first.of(workspace), views=lambda services, _: services)
    try:
        yield service.client
    finally:
        state.services = first


def furnished(service: Service, owner: str) -> dict[str, str]:
    """One thing of each kind in that workspace; its id or name."""
    settings = service.app.state.services.settings
    with within(service, owner) as client:
        assert client.post("/createModel/zora", json={"baseModel": DEMO}).status_code == 201
        made = client.post("/collections", json={"name": "statutes"})
        for where in ({"collection": "statutes"}, {"modelName": "zora"}, {}):
            came = client.post("/importDocument", params=where, files={"file": TEXT})
            assert came.status_code == 201, came.text
        said = client.post("/v1/responses", json={"model": DEMO, "input": "Once"}).json()
        item = client.get(f"/v1/responses/{said['id']}/input_items").json()["data"][0]
    things = {
        "model": "zora",
        "name": "statutes",
        "collection": made.json()["id"],
        "document": came.json()["id"],
        "file": TEXT[0],
        "response": said["id"],
        "item": item["id"],
        "job": service.store.of(owner).jobs.add(new_job_id(), "tuned", "base", {}).id,
        "file_batch": f"vsfb_{owner}",
    }
    files = [NewFile(things["document"], TEXT[0], {})]
    service.store.collection_files.add(things["collection"], files, things["file_batch"])
    (settings.jobs_dir / things["job"]).mkdir(parents=True)
    base = settings.base_models_dir / DEMO
    base.mkdir(parents=True, exist_ok=True)
    (base / "config.json").write_text("{}")
    for kind, (folder, begin, what) in SHELVES.items():
        shelf = Shelf(settings.data_dir / folder, begin, what, owner)
        things[kind] = shelf.new_id()
        with shelf.growing(things[kind]) as growing:
            (growing / "outcomes.jsonl").touch()
            card = {"created_at": "2026-01-01", **CARDS.get(kind, {})}
            shelf.place(growing, things[kind], card)
    return things


def told(answer: Answer, it: str) -> tuple[int, str]:
    """Status and body of an answer, whatever the thing is called that was asked for."""
    text = re.sub('(urn:request:|"request_id":")[0-9a-f]+', r"\1", answer.text)
    return answer.status_code, text.replace(it, "IT")


def test_a_key_works_in_its_workspace(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="the-first-admin") as service:
        client, first = service.client, {"Authorization": "Bearer the-first-admin"}
        wanted = {"alias": "theirs", "workspace": "team", "scopes": ["admin"]}
        made = client.post("/keys", json=wanted, headers=first).json()
        team = {"Authorization": f"Bearer {made['key']}"}
        persona = client.post("/createModel/zora", json={"baseModel": DEMO}, headers=team)
        assert persona.status_code == 201, persona.text
        for path in ("/show_model/zora", "/v1/models/zora"):
            assert client.get(path, headers=team).status_code == 200
            assert client.get(path, headers=first).status_code == 404


def test_a_request_is_answered_in_the_workspace_of_its_caller(service: Service) -> None:
    for workspace in WORKSPACES:
        state = {CALLER: replace(ANYONE, workspace=workspace)}
        request = Request({"type": "http", "app": service.app, "state": state})
        assert get_callers_services(request).workspace == workspace


def test_every_route_has_its_case() -> None:
    known = {*CASES, *WITHOUT}
    new = {one for one in routes() - known if not _is_of_the_installation(one)}
    assert not new, "say in CASES how they are asked with what another workspace has"


def _is_of_the_installation(route: str) -> bool:
    return route.partition(" ")[2].startswith(OF_THE_INSTALLATION)


@pytest.mark.parametrize("owner", WORKSPACES)
def test_what_another_workspace_has_is_as_if_it_were_made_up(service: Service, owner: str) -> None:
    things = furnished(service, owner)
    (asker,) = {*WORKSPACES} - {owner}
    there = routes()
    secrets = {things[kind] for kind in things if kind not in ("model", "name", "file")}
    wrong = []
    with within(service, asker) as client:
        for route, cases in CASES.items():
            for case in cases if route in there else ():
                it, other = things[case.kind], MADE_UP[case.kind]
                got, expected = told(case.ask(client, it), it), told(case.ask(client, other), other)
                is_first_ones = route.partition(" ")[2].startswith("/shared/") and asker == "team"
                is_right = got == expected and got[0] in (
                    403 if is_first_ones else 404,
                    NOT_404.get(route),
                )
                is_about_it = "IT" in expected[1] or not expected[1] or route in NOT_404
                is_about_it |= is_first_ones
                if not is_right or not is_about_it or any(secret in got[1] for secret in secrets):
                    wrong.append((route, case.kind, got, expected))
    assert not wrong
    with within(service, owner) as client:
        for path in ("/show_model/zora", "/collections/statutes", f"/jobs/{things['job']}"):
            assert client.get(path).status_code == 200
        assert client.get(f"/documents/{things['document']}").status_code == 200


@pytest.mark.parametrize("owner", WORKSPACES)
def test_lists_and_searches_over_all_find_nothing_of_another_workspace(
    service: Service, owner: str
) -> None:
    things = furnished(service, owner)
    (asker,) = {*WORKSPACES} - {owner}
    lists = {
        "/list_models?details=true",
        "/v1/models",
        "/v1/files",
        "/v1/batches",
        "/v1/fine_tuning/jobs",
        "/v1/vector_stores",
        "/collections",
        "/list_documents?modelName=demo",
        "/jobs",
        "/datasets",
        "/tables",
        "/predict",
        "/sweeps",
        "/evaluations",
        "/evaluations/retrieval",
    }
    with within(service, asker) as client:
        for path in lists:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            assert not any(thing in answer.text for thing in things.values()), path
        found = client.post("/search", json={"query": "zeppelin", "model_name": DEMO})
        assert found.json() == {"hits": []}
        answer = client.post("/generate", json={**ASKED, "documents": ["*"]}).json()
        assert "zeppelin" not in json.dumps(answer)


def test_what_the_first_workspace_shares_is_there_for_use_alone(service: Service) -> None:
    with within(service, "default") as client:
        assert client.post("/createModel/zora", json={"baseModel": DEMO}).status_code == 201
        its = client.post("/collections", json={"name": "statutes"}).json()["id"]
        come = client.post("/importDocument", params={"collection": its}, files={"file": TEXT})
        document = come.json()["id"]
        bound = {"baseModel": DEMO, "collection": its, "system": "You are Ada."}
        assert client.post("/createModel/ada", json=bound).status_code == 201
        early = client.put("/shared/models/ada")
        assert (early.status_code, its in early.text) == (409, True)
        assert client.put("/shared/models/demo").status_code == 409
        assert client.put(f"/shared/collections/{its}").json()["shared"] is True
        assert client.put("/shared/models/ada").json()["shared"] is True
    with within(service, "team") as client:
        assert_used(client, its, document)
        assert_unchanged(client, its, document)
        assert client.put("/shared/models/ada").status_code == 403
        shown = client.get("/show_model/ada").json()
        assert (shown["kind"], shown["shared"], shown["job_id"]) == ("persona", True, None)
        for path in ("/v1/models", "/list_models?details=true"):
            assert "zora" not in client.get(path).text  # not shared
    with within(service, "default") as client:
        assert client.delete(f"/shared/collections/{its}").json()["shared"] is False
    with within(service, "team") as client:
        lost = client.post("/v1/chat/completions", json={"model": "ada", "messages": TURN})
        assert (lost.status_code, "not shared any more" in lost.text) == (409, True)
        assert its not in client.get("/show_model/ada").text
    with within(service, "default") as client:
        assert client.delete("/shared/models/ada").json()["shared"] is False
    with within(service, "team") as client:
        for path in ("/show_model/ada", f"/collections/{its}", f"/documents/{document}"):
            assert client.get(path).status_code == 404
        assert client.get("/collections").json()["collections"] == []


def assert_used(client: TestClient, its: str, document: str) -> None:
    """Every door lists, finds and cites what is shared."""
    listed = client.get("/list_models?details=true").json()["models"]
    assert [(one["name"], one["shared"]) for one in listed] == [("ada", True), (DEMO, False)]
    models = client.get("/v1/models").json()["data"]
    assert [one["id"] for one in models if one.get("shared")] == ["ada"]
    assert [one["shared"] for one in client.get("/collections").json()["collections"]] == [True]
    stores = client.get("/v1/vector_stores").json()["data"]
    assert [(one["id"], one["shared"]) for one in stores] == [(its, True)]
    assert client.get(f"/documents/{document}").json()["name"] == TEXT[0]
    inside = client.get(f"/v1/vector_stores/{its}/files").json()["data"]
    assert [one["filename"] for one in inside] == [TEXT[0]]
    for named in (its, "statutes"):
        hits = client.post("/search", json={"query": "zeppelin", "collection": named}).json()
        assert hits["hits"][0]["text"] == WORDS
    found = client.post(f"/v1/vector_stores/{its}/search", json={"query": "zeppelin"}).json()
    assert found["data"][0]["content"][0]["text"] == WORDS
    asked = {"model": "ada", "messages": [{"role": "user", "content": "zeppelin?"}]}
    answer = client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]
    assert answer["receipt"]["passages"][0]["document_id"] == document
    asked = {"model": DEMO, "input": "zeppelin?", "tools": [searching(its)]}
    said = client.post("/v1/responses", json={**asked, "tool_choice": "required"}).json()
    assert "file_search_call" in [one["type"] for one in said["output"]]
    called_for = called("collection", "search", "collection", query="zeppelin")
    assert WORDS in called_for.ask(client, its).text
    assert "shared" in called("collection", "list_collections", "limit").ask(client, "5").text


def assert_unchanged(client: TestClient, its: str, document: str) -> None:
    """No door changes or deletes what is shared: 403 that says whose it is."""
    send: dict[str, Any] = {"files": {"file": TEXT}}
    for method, path, more in (
        ("DELETE", "/deleteModel/ada", {}),
        ("DELETE", "/v1/models/ada", {}),
        ("DELETE", f"/collections/{its}", {}),
        ("POST", f"/collections/{its}/embed", {}),
        ("POST", f"/collections/{its}/embed/rollback", {}),
        ("DELETE", f"/collections/{its}/embed", {}),
        ("POST", f"/importDocument?collection={its}", send),
        ("POST", f"/importDocuments?collection={its}", send),
        ("DELETE", f"/delete_document?collection={its}&document={document}", {}),
        ("DELETE", f"/deleteAll_Documents?collection={its}", {}),
        ("POST", f"/v1/vector_stores/{its}", {"json": {"name": "mine"}}),
        ("DELETE", f"/v1/vector_stores/{its}", {}),
        ("POST", f"/v1/vector_stores/{its}/files/{document}", {"json": {"attributes": {}}}),
        ("DELETE", f"/v1/vector_stores/{its}/files/{document}", {}),
        ("POST", f"/v1/vector_stores/{its}/file_batches/vsfb_0/cancel", {}),
    ):
        answer = client.request(method, path, **more)
        assert (answer.status_code, "'default'" in answer.text) == (403, True), (path, answer.text)


def test_its_own_goes_before_what_is_shared_under_the_same_name(service: Service) -> None:
    with within(service, "default") as client:
        assert client.post("/createModel/zora", json={"baseModel": DEMO}).status_code == 201
        send: dict[str, Any] = {"params": {"modelName": "zora"}, "files": {"file": TEXT}}
        document = client.post("/importDocument", **send).json()["id"]
        assert client.put("/shared/models/zora").status_code == 200
        assert client.put("/shared/collections/zora").status_code == 200
    with within(service, "team") as client:
        own = {"baseModel": "zora", "system": "Ours."}
        assert client.post("/createModel/zora", json=own).status_code == 201
        assert client.get("/show_model/zora").json()["system"] == "Ours."
        assert client.post("/collections", json={"name": "zora"}).status_code == 201
        assert client.get("/collections/zora").json()["documents"] == 0
        asked = {"query": "zeppelin", "model_name": "zora"}
        assert client.post("/search", json=asked).json()["hits"]  # its own, then the shared one
        assert client.delete("/deleteAll_Documents?modelName=zora").status_code == 200
        assert client.delete("/deleteModel/zora").status_code == 200
        assert client.get("/show_model/zora").json()["shared"] is True
        assert client.delete("/collections/zora").status_code == 200
        assert client.get("/collections/zora").json()["shared"] is True
    with within(service, "default") as client:
        anew = {"baseModel": DEMO, "system": "Anew.", "replace": True}
        assert client.post("/createModel/zora", json=anew).status_code == 201
        assert client.get("/show_model/zora").json()["shared"] is False
        assert client.get(f"/documents/{document}").status_code == 200


def test_equal_names_and_equal_bytes_are_taken_in_each_workspace(service: Service) -> None:
    for workspace in WORKSPACES:
        furnished(service, workspace)
    with within(service, "team") as client:
        again = client.post("/createModel/zora", json={"baseModel": DEMO})
        assert (again.status_code, "ws-" in again.text) == (409, False)
        assert client.post("/collections", json={"name": "statutes"}).status_code == 409
        same = client.post("/importDocument?modelName=zora", files={"file": TEXT})
        assert same.status_code == 200
        asked = {"user_prompt": "Hello there", "model_name": "zora"}
        assert client.post("/generate", json=asked).json()["message"] == "Hello there"
        assert client.delete("/deleteModel/zora").status_code == 200
        assert client.get("/show_model/zora").status_code == 404
        shared = client.delete("/deleteModel/demo")
        assert (shared.status_code, "shared by" in shared.text) == (403, True)
    with within(service, "default") as client:
        assert client.get("/show_model/zora").status_code == 200
        assert client.get("/list_models").json()["All Created Models"] == ["demo", "zora"]


def test_requests_that_come_at_once_open_one_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, open_it = threading.Barrier(2), Once.services_of

    def when_both_ask(once: Once, workspace: str, first: Services) -> Services:
        both.wait(timeout=60)
        return open_it(once, workspace, first)

    with open_service(tmp_path) as service, ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(Once, "services_of", when_both_ask)
        one, other = pool.map(service.app.state.services.of, ["team", "team"])
        assert one is other
