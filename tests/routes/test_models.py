"""createModel, deleteModel, list_models, show_model over HTTP."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.documents.collections import CollectionCatalog
from api.errors import NameTaken
from api.http.options import ELSEWHERE
from api.jobs.opening import open_submitter, open_supervisor
from api.jobs.queue import JobQueue
from api.models.bases import BaseModels
from api.models.bundled import BundledModel, BundledModels
from api.models.catalog import ModelCatalog
from api.runners.worker import WorkerRunner
from api.runtime import ExistingModel, Persona
from tests.service import Service


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


@pytest.mark.parametrize("source", ["params", "data", "json"])
def test_a_persona_is_created_from_query_form_and_json(
    service: Service, client: TestClient, source: str
) -> None:
    sent: dict[str, Any] = {source: {"system": "You are Ada.", "baseModel": "demo"}}
    response = client.post("/createModel/ada", **sent)
    assert response.status_code == 201, response.text
    assert response.json() == {"Message": "Successfully created ada", "name": "ada"}
    assert client.get("/show_model/ada").json()["system"] == "You are Ada."


@pytest.mark.parametrize("spelling", ["ns/x:tag", "ns%2Fx:tag", "ns%2fx:tag", "NS/X:TAG/"])
def test_a_model_of_a_namespace_can_be_shown_and_deleted(
    service: Service, client: TestClient, spelling: str
) -> None:
    service.runtime._put("ns/x:tag", 4096, {"chat"})
    shown = client.get(f"/show_model/{spelling}")
    assert (shown.status_code, shown.json()["name"]) == (200, "ns/x:tag")
    assert client.delete(f"/deleteModel/{spelling}").status_code == 200
    assert client.get(f"/show_model/{spelling}").status_code == 404


def test_parameters_come_as_an_object_or_as_json_text(client: TestClient) -> None:
    whole = client.post("/createModel/a", json={"parameters": {"temperature": 0.2, "stop": ["x"]}})
    text = client.post("/createModel/b", params={"parameters": '{"temperature": 0.2}'})
    assert (whole.status_code, text.status_code) == (201, 201)
    assert client.get("/show_model/a").json()["parameters"] == {"temperature": 0.2, "stop": ["x"]}
    assert client.get("/show_model/b").json()["parameters"] == {"temperature": 0.2}


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": {"temperature": "warm"}},
        {"parameters": {"heat": 1}},
        {"parameters": "[1]"},
        {"system": 5},
        {"sistem": "x"},
        {"template": "{% if %}"},
    ],
)
def test_what_cannot_be_a_persona_is_a_422_and_makes_nothing(
    client: TestClient, body: dict[str, Any]
) -> None:
    response = client.post("/createModel/ada", json=body)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert client.get("/list_models").json() == {"All Created Models": ["demo"]}


def test_a_value_given_twice_and_different_is_a_422(client: TestClient) -> None:
    response = client.post("/createModel/ada?system=one", json={"system": "two"})
    assert response.status_code == 422
    assert "system" in response.json()["detail"]
    same = client.post("/createModel/ada?baseModel=demo", json={"base_model": "demo"})
    assert same.status_code == 201


@pytest.mark.parametrize("name", ["-x", "a b", "a" * 81, "..", "~x", "a\u202eb", "x--checking"])
def test_a_name_that_breaks_the_rules_is_a_422(client: TestClient, name: str) -> None:
    assert client.post(f"/createModel/{name}").status_code in {404, 422}
    assert client.get("/list_models").json() == {"All Created Models": ["demo"]}


def test_an_unknown_base_is_a_404_that_lists_the_models(client: TestClient) -> None:
    response = client.post("/createModel/ada", json={"baseModel": "nothing"})
    assert response.status_code == 404
    assert response.json()["Created Models"] == ["demo"]


def test_a_taken_name_is_a_409_unless_replaced(client: TestClient) -> None:
    client.post("/createModel/ada", json={"system": "one"})
    taken = client.post("/createModel/ADA", json={"system": "two"})
    assert taken.status_code == 409
    assert "replace=true" in taken.json()["detail"]
    assert client.get("/show_model/ada").json()["system"] == "one"
    replaced = client.post("/createModel/ada", json={"system": "two", "replace": True})
    assert replaced.status_code == 201
    assert client.get("/show_model/ada").json()["system"] == "two"
    base = client.post("/createModel/demo", json={"replace": True, "baseModel": "demo"})
    assert base.status_code == 409
    assert "replace=true" not in base.json()["detail"]


def test_a_name_that_a_job_will_use_is_taken(service: Service, client: TestClient) -> None:
    service.store.jobs.add("job_1", "tuned", "demo", {})
    assert client.post("/createModel/tuned").status_code == 409


@pytest.mark.parametrize(
    ("source", "details"),
    [("params", "true"), ("params", "1"), ("data", "true"), ("json", True)],
)
def test_details_tell_kind_and_base(client: TestClient, source: str, details: str | bool) -> None:
    client.post("/createModel/ada")
    sent: dict[str, Any] = {source: {"details": details}}
    listed = client.request("GET", "/list_models", **sent).json()
    assert listed["All Created Models"] == ["ada", "demo"]
    assert [(m["kind"], m["base"]) for m in listed["models"]] == [
        ("persona", "demo"),
        ("base", None),
    ]


def test_models_are_cut_only_by_an_explicit_limit(client: TestClient) -> None:
    for number in range(9):
        client.post(f"/createModel/m{number}")
    names = ["demo", *(f"m{number}" for number in range(9))]
    assert client.get("/list_models").json() == {"All Created Models": names}
    first = client.get("/list_models?limit=3").json()
    assert first == {"All Created Models": names[:3], "has_more": True}
    middle = client.get("/list_models?limit=6&after=M1&details=true").json()
    assert middle["All Created Models"] == names[3:9]
    assert [model["name"] for model in middle["models"]] == names[3:9]
    last = client.get("/list_models?limit=6&after=m7").json()
    assert last == {"All Created Models": ["m8"], "has_more": False}
    assert client.get("/list_models?after=m6").json() == {"All Created Models": names[8:]}
    assert client.get("/list_models?limit=0").status_code == 422


def test_what_is_shown_of_a_model_is_what_is_known_and_nothing_else(client: TestClient) -> None:
    client.post("/createModel/ada", json={"parameters": {"stop": "###", "top_k": 40}})
    shown = client.get("/show_model/ada").json()
    assert list(shown) == [
        *("name", "kind", "base", "size_bytes", "parameter_count", "quantization"),
        *("context_length", "capabilities", "trainable", "modified_at"),
        *("shared", "system", "template", "parameters", "job_id", "architecture", "back_end"),
    ]
    assert shown["parameters"] == {"top_k": 40, "stop": ["###"]}
    assert (shown["base"], shown["job_id"]) == ("demo", None)
    assert client.get("/show_model/demo").json()["base"] is None


@pytest.mark.parametrize("unknown", ["num_predict", "repetition_penalty", "heat"])
def test_an_option_that_is_not_there_is_met_with_those_that_are(
    client: TestClient, unknown: str
) -> None:
    problem = client.post("/createModel/ada", json={"parameters": {unknown: 40}}).json()
    assert f"parameters.{unknown}: Unknown." in problem["detail"]
    assert "Known are: temperature, top_p, top_k, min_p, repeat_penalty" in problem["detail"]
    if unknown in ELSEWHERE:
        assert f"Use {ELSEWHERE[unknown]}." in problem["detail"]


def test_a_deleted_model_is_gone_and_its_personas_answer(
    service: Service, client: TestClient
) -> None:
    client.post("/createModel/ada", json={"system": "You are Ada."})
    client.post("/createModel/eva", json={"baseModel": "ada"})
    deleted = client.delete("/deleteModel/ada")
    assert deleted.json() == {"Message": "Successfully deleted ada"}
    assert client.get("/show_model/ada").status_code == 404
    assert client.get("/show_model/eva").json()["system"] == "You are Ada."
    assert service.store.models.get("ada") is None


def test_deleting_an_unknown_model_lists_the_known_ones(client: TestClient) -> None:
    response = client.delete("/deleteModel/nobody")
    assert response.status_code == 404
    assert response.json()["Created Models"] == ["demo"]


def test_a_model_that_a_job_trains_from_stays(service: Service, client: TestClient) -> None:
    service.store.jobs.add("job_1", "tuned", "demo", {})
    assert client.delete("/deleteModel/demo").status_code == 409
    assert client.get("/show_model/demo").status_code == 200


def test_the_embedding_model_is_not_listed_and_cannot_be_shown(client: TestClient) -> None:
    assert client.get("/show_model/all-minilm-l6-v2-int8").status_code == 404


def test_a_bundled_model_that_is_not_there_yet_is_a_503_that_says_why(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    state = cast(FastAPI, client.app).state
    bundled = BundledModels(service.runtime, [BundledModel("soon", "nowhere", "f16")], tmp_path)
    base_models = BaseModels(tmp_path / "base_models", service.store.models)
    models = ModelCatalog(service.runtime, service.store, base_models, bundled, "soon")
    collections = CollectionCatalog(
        state.services.settings,
        service.store,
        service.runtime,
        service.house.index,
        service.house.importer,
        service.house.deleter,
        service.house.reembedder,
        models,
        bundled,
    )
    state.services = replace(
        state.services, models=models, bundled=bundled, collections=collections
    )
    persona = client.post("/createModel/ada")
    document = client.post("/importDocument?modelName=soon", files={"file": ("a.pdf", b"%PDF-")})
    for response in (persona, document):
        assert response.status_code == 503
        assert "is being made ready" in response.json()["detail"]
        assert int(response.headers["retry-after"]) > 0


async def _checked(service: Service) -> None:
    await service.runtime.create_model("ada--checking", ExistingModel("demo"), Persona())


def test_a_model_that_is_being_checked_is_nobodys_to_use(
    service: Service, client: TestClient
) -> None:
    assert client.portal
    client.portal.call(_checked, service)
    response = client.post("/importDocument?modelName=ada--checking", files={"file": b"%PDF-"})
    assert response.status_code == 404


def test_a_runtime_that_is_away_is_a_503_with_retry_after(
    service: Service, client: TestClient, tmp_path: Path
) -> None:
    service.runtime.available = False
    response = client.get("/list_models")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["runtime"] != "ready"
    assert ready.json()["checks"]["database"] == "ready"
    assert client.get("/healthz").json() == {"status": "alive"}


def test_a_worker_that_is_away_is_a_hint(service: Service, client: TestClient) -> None:
    services = service.app.state.services
    settings, store = services.settings, services.store
    base_models = BaseModels(settings.base_models_dir, store.models)
    runner = WorkerRunner(settings.jobs_dir)
    folder = services.folders.jobs
    submitter = open_submitter(
        settings, store, services.runtime, base_models, runner, folder, services.datasets
    )
    supervisor = open_supervisor(settings, services.workspaces, runner, folder)
    jobs = JobQueue(store, services.runtime, submitter, supervisor)
    service.app.state.readiness.services = replace(services, jobs=jobs)
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready"
    assert "No worker watches the jobs folder" in ready["hints"][0]


def test_of_two_creations_at_once_one_wins_and_keeps_its_record(service: Service) -> None:
    catalog = service.app.state.services.models

    async def both() -> list[Any]:
        made = (catalog.create("ada", "demo", Persona(), replace=False) for _ in range(2))
        return await asyncio.gather(*made, return_exceptions=True)

    assert service.client.portal
    outcomes = service.client.portal.call(both)
    assert [type(one) for one in outcomes].count(NameTaken) == 1
    assert [one.kind for one in outcomes if not isinstance(one, Exception)] == ["persona"]
    record = service.store.models.get("ada")
    assert record
    assert record.kind == "persona"
