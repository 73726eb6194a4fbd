"""The Swagger page tells all of each operation, and comes without a way to the internet."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.app import create_app
from api.errors import Unavailable
from api.services import Services
from api.settings import Settings
from tests.service import ADDRESS

WITHOUT_EXAMPLE = {"healthz", "readyz", "list_jobs", "list_models"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("openapi") / "data"))


@pytest.fixture(scope="module")
def schema(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_operation_says_what_it_does_and_how_it_refuses(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert operation.get("summary"), name
        assert operation.get("description"), name
        assert operation.get("operationId") == operation.get("operationId", "").lower(), name
        refusals = [status for status in operation["responses"] if status >= "400"]
        assert refusals or operation["operationId"] == "healthz", name


def test_every_answer_has_a_type(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                told = content.get("schema", {})
                is_text = media_type.startswith("text/")
                assert is_text or {"$ref", "anyOf", "type"} & told.keys(), (name, status, told)


def test_every_group_of_the_page_has_its_place(schema: dict[str, Any]) -> None:
    placed = [tag["name"] for tag in schema["tags"]]
    used = [tag for _, operation in operations(schema) for tag in operation["tags"]]
    assert set(used) == set(placed)


def test_every_answer_is_described(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            assert response["description"] not in {"", "Successful Response"}, (name, status)


def test_every_refusal_is_a_problem(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            if status >= "400" and operation["operationId"] != "readyz":
                assert response["content"].keys() == {"application/problem+json"}, (name, status)


def test_all_refusals_have_one_schema(schema: dict[str, Any]) -> None:
    assert schema["components"]["schemas"]["Problem"]["required"]
    for name, operation in operations(schema):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json")
            if content:
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)


def test_every_parameter_is_asked_for_once(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        asked = [parameter["name"] for parameter in operation.get("parameters", [])]
        parts: dict[str, Any] = {}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            parts |= content["schema"]["properties"]
        files = {part for part, told in parts.items() if told.get("format") == "binary"}
        asked += [part for part in parts if part not in files]  # an id may stand in a file's place
        assert len(asked) == len(set(asked)), name


def test_every_operation_with_parameters_has_an_example(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        if operation["operationId"] not in WITHOUT_EXAMPLE and operation.get("parameters"):
            assert "example" in str(operation), name


def test_the_customers_paths_are_there(schema: dict[str, Any]) -> None:
    assert {
        "/createModel/{modelName}",
        "/deleteModel/{modelName}",
        "/list_models",
        "/show_model/{modelName}",
        "/importDocument",
        "/list_documents",
        "/documents/{document_id}",
        "/delete_document",
        "/deleteAll_Documents",
        "/search",
        "/generate",
        "/fine_tune_model/{modelName}",
        "/jobs",
        "/healthz",
        "/readyz",
    } <= set(schema["paths"])


def test_the_swagger_page_asks_nobody_else(app: FastAPI, tmp_path: Path) -> None:
    client = TestClient(app, base_url="http://127.0.0.1:3000")
    page = client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert client.get("/swagger/swagger-ui-bundle.js").status_code == 200


def test_before_it_is_open_the_service_says_so(app: FastAPI) -> None:
    client = TestClient(app, base_url="http://127.0.0.1:3000")  # without lifespan: not opened
    assert client.get("/healthz").status_code == 200
    starting = client.get("/list_models")
    assert starting.status_code == 503
    assert "retry-after" in starting.headers
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("why", [Unavailable("The database is damaged (page 7)."), OSError("away")])
def test_a_service_that_could_not_open_says_why_to_every_call(
    tmp_path: Path, why: Exception
) -> None:
    async def open(*_: object) -> Services:
        raise why

    with TestClient(create_app(Settings(data_dir=tmp_path), open), ADDRESS) as client:
        while not client.app.state.readiness.has_failed:  # type: ignore[attr-defined]
            time.sleep(0.01)
        refused = client.get("/list_models")
        (state,) = client.get("/readyz").json()["checks"].values()
    assert (refused.status_code, refused.json()["title"]) == (503, "Cannot start")
    assert refused.json()["detail"] == state
    assert "retry-after" not in refused.headers


def test_the_page_asks_for_its_parts_by_relative_addresses(app: FastAPI) -> None:
    client = TestClient(app, base_url="http://127.0.0.1:3000")
    for path in ("/docs", "/docs/"):
        page = client.get(path)
        asked = re.findall(r"""(?:href|src)="([^"]+)"|'?url'?: '([^']+)'""", page.text)
        addresses = [one or other for one, other in asked]
        assert len(addresses) == 4
        for address in addresses:
            assert not address.startswith(("/", "http"))
            assert client.get(urljoin(path, address)).status_code == 200
    servers = client.get("/openapi.json").json()["servers"]
    assert [server["url"] for server in servers] == ["."]


def test_with_a_key_every_operation_but_healthz_asks_for_it(tmp_path: Path) -> None:
    schema = create_app(Settings(data_dir=tmp_path, api_key=SecretStr("secret"))).openapi()
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert schema["security"] == [{"key": []}]
    open_ones = [name for name, one in operations(schema) if one.get("security") == []]
    assert open_ones == ["GET /healthz"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, {"403", "421"}),
        ({"host": "192.0.2.1", "api_key": SecretStr("secret")}, {"401", "403"}),
        ({"api_key": SecretStr("secret"), "allowed_hosts": ("a.example",)}, {"401", "403", "421"}),
    ],
)
def test_what_the_gate_may_answer_is_described(
    tmp_path: Path, values: dict[str, Any], told: set[str]
) -> None:
    schema = create_app(Settings(data_dir=tmp_path, **values)).openapi()
    for name, operation in operations(schema):
        described = {"401", "403", "421"} & set(operation["responses"])
        assert described == (set() if name == "GET /healthz" else told), name
        statuses = list(operation["responses"])
        assert statuses == sorted(statuses), name


def test_without_a_key_there_is_no_button_for_it(schema: dict[str, Any]) -> None:
    assert "security" not in schema
    assert "securitySchemes" not in schema["components"]


def test_each_field_of_a_form_is_one_text_or_a_file(schema: dict[str, Any]) -> None:
    """The page reads an empty field of another type as JSON, and shows nothing of the operation."""
    for name, operation in operations(schema):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for field, told in content["schema"]["properties"].items():
                known = {"string", "integer", "number", "boolean"}
                if told.get("items", {}).get("format") == "binary":
                    continue  # several files, which the page lets one choose
                assert told.get("type") in known, (name, field)
