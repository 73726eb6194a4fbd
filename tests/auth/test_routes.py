"""Keys through the whole service: who is let in where, what they see of models, and what is counted."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from fastapi import FastAPI

from api.auth.callers import hash_of
from api.errors import BackEndFailed, ClientGone
from api.routes.openai import create_openai_app
from api.routes.scopes import SCOPES, listed
from tests.fakes import BreaksOff
from tests.routes.openai.conftest import sdk_over
from tests.routes.test_adapters import adapter, zipped
from tests.service import Service, open_service

ADMIN = {"Authorization": "Bearer the-first-admin"}
ASKED = {"modelName": "demo", "user_prompt": "hello"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with the key of the settings; a test makes keys of its own."""
    with open_service(tmp_path_factory.mktemp("keys"), api_key="the-first-admin") as service:
        yield service


def made(service: Service, **values: Any) -> tuple[str, dict[str, str]]:
    """A new key: its id, and the header that it is sent in."""
    answer = service.client.post("/keys", json={"alias": "n8n", **values}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], {"Authorization": f"Bearer {answer.json()['key']}"}


def asked(service: Service, headers: Mapping[str, str], **more: object) -> httpx2.Response:
    return service.client.post("/generate", json={**ASKED, **more}, headers=headers)


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every operation of both doors, with something in the place of each parameter."""
    for one in (app, create_openai_app(app.state)):
        for path, operations in one.openapi()["paths"].items():
            for method in operations:
                yield method.upper(), path.replace("{", "").replace("}", "")


def test_every_route_stands_in_the_table(guarded: Service) -> None:
    walked = {path for _, path in routes(guarded.app)}
    assert len(walked) > 40
    assert not [path for path in walked if listed(path) is None]


def test_a_key_without_the_scope_is_let_in_nowhere_that_needs_it(guarded: Service) -> None:
    _, metrics = made(guarded, scopes=["metrics"])
    for method, path in routes(guarded.app):
        needed = SCOPES[listed(path) or ""]
        answer = guarded.client.request(method, path, headers=metrics)
        refused = answer.status_code == 403
        assert refused == (needed not in (None, "metrics")), (method, path, answer.text)
        if refused:
            body = answer.json()
            text = body["error"]["message"] if path.startswith("/v1") else body["detail"]
            assert repr(needed) in text


def test_no_spelling_of_a_path_lets_a_key_in(guarded: Service) -> None:
    _, use = made(guarded, scopes=["use"])
    for path in ("/JOBS", "/jobs/", "/Fine-Tune-Model/x", "/finetunemodel/x", "//jobs", "/%6Aobs"):
        for method in ("GET", "POST"):
            answer = guarded.client.request(method, path, headers=use)
            assert answer.status_code in (403, 404, 405), (method, path)
            assert "jobs" not in answer.json()


def test_without_a_key_nothing_is_told_but_what_a_browser_needs(guarded: Service) -> None:
    for method, path in routes(guarded.app):
        status = guarded.client.request(method, path).status_code
        assert status == (200 if path == "/healthz" else 401), path


def test_a_key_has_a_life(guarded: Service) -> None:
    id, key = made(guarded, scopes=["use", "admin"], expires="30d", tokens_per_minute=1000)
    told = guarded.client.get(f"/keys/{id}", headers=key).json()
    assert (told["alias"], told["scopes"]) == ("n8n", ["admin", "use"])
    assert told["models"] is None
    listed = guarded.client.get("/keys", headers=key)
    assert id in [one["id"] for one in listed.json()["keys"]]
    text = key["Authorization"].removeprefix("Bearer ")
    for answer in (listed.text, str(told)):
        assert text not in answer
        assert hash_of(text) not in answer
        assert "hash" not in answer
    changed = guarded.client.patch(f"/keys/{id}?alias=ada", headers=ADMIN).json()
    assert (changed["alias"], changed["tokens_per_minute"]) == ("ada", 1000)
    rotated = guarded.client.post(f"/keys/{id}/rotate", headers=ADMIN).json()
    assert guarded.client.get("/list_models", headers=key).json()["title"] == "Wrong key"
    key = {"Authorization": f"Bearer {rotated['key']}"}
    guarded.client.patch(f"/keys/{id}", json={"blocked": True}, headers=ADMIN)
    assert guarded.client.get("/list_models", headers=key).json()["title"] == "Key blocked"
    assert guarded.client.delete(f"/keys/{id}", headers=ADMIN).status_code == 200
    assert guarded.client.get(f"/keys/{id}", headers=ADMIN).json()["title"] == "Key not found"


@pytest.mark.parametrize(
    "values",
    [
        {"alias": ""},
        {"scopes": ["root"]},
        {"expires": "soon"},
        {"requests_per_minute": -1},
        {"workspace": "a b"},
        {"hash": "0"},
        {"models": []},
        {"alias": "llm_fastapi_api_key"},
    ],
)
def test_what_a_key_cannot_be_is_422(guarded: Service, values: dict[str, object]) -> None:
    answer = guarded.client.post("/keys", json={"alias": "n8n", **values}, headers=ADMIN)
    assert answer.status_code == 422
    assert next(iter(values)) in answer.text


def test_a_model_that_the_key_may_not_use_is_as_if_it_were_not_there(guarded: Service) -> None:
    for name in ("ada", "bob"):
        path = f"/createModel/{name}?baseModel=demo"
        assert guarded.client.post(path, headers=ADMIN).status_code == 201
    _, key = made(guarded, models=["Ada:latest", "carl"])
    client = guarded.client
    assert client.get("/list_models", headers=key).json() == {"All Created Models": ["ada"]}
    assert [one.id for one in sdk_over(client, key["Authorization"][7:]).models.list()] == ["ada"]
    assert asked(guarded, key, modelName="ada").status_code == 200
    calls: list[Callable[[str], httpx2.Response]] = [
        lambda name: asked(guarded, key, modelName=name),
        lambda name: client.get(f"/show_model/{name}", headers=key),
        lambda name: client.delete(f"/deleteModel/{name}", headers=key),
        lambda name: client.post(f"/createModel/carl?baseModel={name}", headers=key),
        lambda name: client.get(f"/v1/models/{name}", headers=key),
        lambda name: client.post(
            "/v1/chat/completions",
            json={"model": name, "messages": [{"role": "user", "content": "hi"}]},
            headers=key,
        ),
    ]
    for call in calls:
        hidden, missing = call("bob"), call("none")
        assert hidden.status_code == 404
        assert hidden.text.replace("bob", "none")[:90] == missing.text[:90]
        assert "demo" not in hidden.text
    unseen = asked(guarded, key, modelName="carl")  # may be used, and is not there
    assert unseen.status_code == 404
    assert unseen.json()["Created Models"] == ["ada"]


def test_a_base_that_nobody_named_is_held_against_the_key_too(guarded: Service) -> None:
    client = guarded.client
    assert client.post("/createModel/eva?baseModel=demo", headers=ADMIN).status_code == 201
    _, key = made(guarded, models=["carl", "eva"], scopes=["use", "train"])
    rows = b'{"question": "Who?", "answer": "Ada."}\n'
    packed = {"adapter": ("a.zip", zipped(adapter()))}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/createModel/carl", {}),
        ("/fine_tune_model/carl", {"files": {"train_dataset": ("a.jsonl", rows)}}),
        ("/datasets", {"files": {"file": ("a.jsonl", rows)}}),
        ("/adapters?modelName=carl", {"files": packed}),
        ("/evaluations?modelName=eva", {"files": {"questions": ("a.jsonl", rows)}}),
        (
            "/sweeps",
            {"json": {"modelName": "carl", "train_dataset": "ds_0", "parameters": {"rank": [8]}}},
        ),
    ]
    for path, body in calls:
        answer = client.post(path, headers=key, **body)
        assert (answer.status_code, answer.json()["title"]) == (404, "Model not found"), path
        assert "'demo'" in answer.json()["detail"].lower(), path
    _, wider = made(guarded, models=["carl", "demo"])
    assert client.post("/createModel/carl", headers=wider).status_code == 201


def test_beyond_its_requests_a_key_is_told_when_to_come_again(guarded: Service) -> None:
    _, key = made(guarded, requests_per_minute=2)
    assert asked(guarded, key).headers["x-ratelimit-remaining-requests"] == "1"
    assert guarded.client.get("/list_models", headers=key).status_code == 200  # reading is free
    asked(guarded, key)
    refused = asked(guarded, key)
    assert (refused.status_code, refused.json()["title"]) == (429, "Rate limit exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    with pytest.raises(openai.RateLimitError) as caught:
        sdk_over(guarded.client, key["Authorization"][7:]).chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "hi"}]
        )
    assert caught.value.code == "rate_limit_exceeded"


def test_tokens_count_as_they_were_and_usage_tells_them(guarded: Service) -> None:
    id, key = made(guarded, tokens_per_minute=1000)
    answers = [asked(guarded, key) for _ in range(2)]
    left = [int(one.headers["x-ratelimit-remaining-tokens"]) for one in answers]
    assert left[0] < 1000  # the estimate
    assert abs(left[0] - left[1]) < 10  # of the fake runtime's few tokens
    refused = guarded.client.post("/generate", json={**ASKED, "modelName": "none"}, headers=key)
    assert refused.status_code == 404
    for headers, query in ((key, ""), (ADMIN, f"?key_id={id}")):
        (row,) = guarded.client.get(f"/usage{query}", headers=headers).json()["usage"]
        assert (row["key_id"], row["alias"], row["model"]) == (id, "n8n", "demo")
        assert (row["requests"], row["prompt_tokens"] > 0, row["completion_tokens"] > 0) == (
            2,
            True,
            True,
        )
    assert guarded.client.get(f"/keys/{id}", headers=ADMIN).json()["last_used_at"]
    _, other = made(guarded)
    assert guarded.client.get(f"/usage?key_id={id}", headers=other).json() == {"usage": []}


@pytest.mark.parametrize("stream", [False, True])
def test_of_an_answer_that_its_back_end_breaks_off_counts_what_was_written(
    guarded: Service, stream: bool
) -> None:
    id, key = made(guarded, tokens_per_minute=1000)
    guarded.runtime.will_answer(BreaksOff("one two three four", BackEndFailed("It fell over.")))
    answer = asked(guarded, key, stream=stream)
    assert "It fell over." in answer.text
    (row,) = guarded.client.get(f"/usage?key_id={id}", headers=ADMIN).json()["usage"]
    assert (row["prompt_tokens"] > 0, row["completion_tokens"]) == (True, 4)


def test_who_leaves_in_the_second_call_of_a_model_pays_for_both(guarded: Service) -> None:
    id, key = made(guarded, tokens_per_minute=1000)
    guarded.runtime.will_answer("one two three", BreaksOff("four five", ClientGone("Gone.")))
    asked(guarded, key, response_schema={"type": "object"}, response_after_chat=True)
    (row,) = guarded.client.get(f"/usage?key_id={id}", headers=ADMIN).json()["usage"]
    assert (row["prompt_tokens"] > 0, row["completion_tokens"]) == (True, 5)


def test_rephrasings_count_too(guarded: Service) -> None:
    id, key = made(guarded, tokens_per_minute=1000)
    searched = {"query": "How long does Orlo last?", "modelName": "demo", "expand": True}
    guarded.runtime.will_answer("What is the life of Orlo?\nHow many years does Orlo work?")
    assert guarded.client.post("/search", json=searched, headers=key).status_code == 200
    (row,) = guarded.client.get(f"/usage?key_id={id}", headers=ADMIN).json()["usage"]
    assert (row["prompt_tokens"] > 20, row["completion_tokens"]) == (True, 12)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_beyond_its_schema_counts_as_well(guarded: Service, stream: bool) -> None:
    id, key = made(guarded, tokens_per_minute=1000)
    never = {"name": "f", "parameters": {"type": "object", "not": {}}}
    body = {
        "model": "demo",
        "stream": stream,
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [{"type": "function", "function": never}],
        "tool_choice": "required",
    }
    answer = guarded.client.post("/v1/chat/completions", json=body, headers=key)
    assert "do not hold their schema" in answer.text
    (row,) = guarded.client.get(f"/usage?key_id={id}", headers=ADMIN).json()["usage"]
    assert (row["prompt_tokens"] > 0, row["completion_tokens"] > 0) == (True, True)


def test_an_admin_of_another_workspace_sees_the_keys_and_the_usage_of_that_one(
    guarded: Service,
) -> None:
    ours, _ = made(guarded)
    theirs, admin = made(guarded, workspace="sales", scopes=["admin"])
    client = guarded.client
    assert [one["id"] for one in client.get("/keys", headers=admin).json()["keys"]] == [theirs]
    for method, path in (
        ("GET", "/keys/{}"),
        ("PATCH", "/keys/{}?blocked=true"),
        ("POST", "/keys/{}/rotate"),
        ("DELETE", "/keys/{}"),
    ):
        got, unknown = (
            client.request(method, path.format(id), headers=admin) for id in (ours, "key_0")
        )
        assert (got.status_code, unknown.status_code) == (404, 404)
        assert got.json()["detail"].replace(ours, "key_0") == unknown.json()["detail"]
    outside = client.post("/keys", json={"alias": "a", "workspace": "default"}, headers=admin)
    assert outside.status_code == 422
    inside = client.post("/keys", json={"alias": "a"}, headers=admin)
    assert inside.json()["workspace"] == "sales"
    used = client.get("/usage", headers=admin).json()["usage"]
    assert {row["workspace"] for row in used} <= {"sales"}


def test_the_log_tells_the_keys_name_and_never_the_key(
    guarded: Service, caplog: pytest.LogCaptureFixture
) -> None:
    _, key = made(guarded, alias="Ada's n8n")
    text = key["Authorization"].removeprefix("Bearer ")
    caplog.set_level(logging.DEBUG)
    asked(guarded, key)
    (line,) = (record.request for record in caplog.records if hasattr(record, "request"))
    assert (line["key"], line["model"]) == ("Ada's n8n", "demo")
    assert text not in caplog.text
    assert hash_of(text) not in caplog.text


def test_from_the_first_key_on_one_is_needed_and_an_admin_is_left(tmp_path: Path) -> None:
    with open_service(tmp_path) as service:
        client = service.client
        assert client.get("/list_models").status_code == 200
        for wrong in ({"scopes": ["use"]}, {"scopes": ["admin"], "workspace": "sales"}):
            refused = client.post("/keys", json={"alias": "a", **wrong})
            assert (refused.status_code, refused.json()["title"]) == (409, "Admin needed")
            assert "LLM_FASTAPI_API_KEY" in refused.json()["detail"]
        answer = client.post("/keys", json={"alias": "a", "scopes": ["admin"]})
        key = {"Authorization": f"Bearer {answer.json()['key']}"}
        path = f"/keys/{answer.json()['id']}"
        assert client.get("/list_models").json()["title"] == "Key needed"
        assert client.post("/keys", json={"alias": "b"}, headers=key).is_success
        changes: list[tuple[str, dict[str, Any]]] = [
            ("DELETE", {}),
            ("PATCH", {"json": {"blocked": True}}),
            ("PATCH", {"json": {"scopes": ["use"]}}),
        ]
        for method, change in changes:
            refused = client.request(method, path, headers=key, **change)
            assert (refused.status_code, refused.json()["title"]) == (409, "Admin needed")
        assert client.patch(path, json={"scopes": ["admin", "use"]}, headers=key).is_success
        assert client.post(
            "/keys", json={"alias": "c", "scopes": ["admin"]}, headers=key
        ).is_success
        assert client.delete(path, headers=key).is_success
        assert client.get("/list_models", headers=key).json()["title"] == "Wrong key"


def test_another_workspace_is_told_nothing_of_the_others(guarded: Service) -> None:
    _, ours = made(guarded, scopes=["metrics"])
    _, theirs = made(guarded, scopes=["metrics", "admin"], workspace="sales")
    assert guarded.client.get("/metrics", headers=ours).status_code == 200
    refused = guarded.client.get("/metrics", headers=theirs)
    assert (refused.status_code, refused.json()["title"]) == (403, "Scope missing")

    async def asked_for() -> tuple[dict[str, str], list[str]]:
        return {"runtime": "'ws-other/ada' is damaged", "index": "ready"}, ["'eve' is damaged"]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(guarded.app.state.readiness, "ask", asked_for)
        told = guarded.client.get("/readyz", headers=theirs).json()
        assert (told["checks"], told["hints"]) == ({"runtime": "not ready", "index": "ready"}, [])
        assert guarded.client.get("/readyz", headers=ours).json()["hints"] == ["'eve' is damaged"]


@pytest.mark.parametrize("path", ["/deleteModel/demo", "/v1/models/demo"])
def test_a_base_that_others_build_on_is_deleted_by_an_admin_alone(
    guarded: Service, path: str
) -> None:
    _, user = made(guarded, scopes=["use", "train"])
    refused = guarded.client.delete(path, headers=user)
    assert (refused.status_code, "only an admin deletes it" in refused.text) == (403, True)
    persona = {"baseModel": "demo"}
    assert guarded.client.post("/createModel/eve", json=persona, headers=user).is_success
    assert guarded.client.delete(path.replace("demo", "eve"), headers=user).is_success
