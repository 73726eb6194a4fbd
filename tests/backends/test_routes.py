"""Back ends over HTTP: made, told without their key, changed, deleted; their models are models like all others."""

import json
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.runtime import Message, Options, Piece
from tests.backends.stand_in import KEY, StandIn
from tests.service import Service, open_service

MADE = {"big": "big", "vectors": {"remote": "vectors", "capabilities": ["embed"]}}


def made(client: TestClient, address: str, name: str = "cellar", **more: Any) -> Any:
    """A back end over the stand-in, as it is told."""
    said = {"base_url": f"{address}/generic/v1", "models": MADE, "key": KEY, **more}
    answer = client.post(f"/backends/{name}", json=said)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_model_that_runs_elsewhere_is_a_model_like_all_others(
    service: Service, stand_in: StandIn, address: str
) -> None:
    client = service.client
    told = made(client, address)
    assert told["models"]["big"]["context_length"] == 4096  # as its server says
    assert told["fault"] is None
    assert "big" in client.get("/list_models").json()["All Created Models"]
    persona = {"baseModel": "big", "system": "Be Ada.", "parameters": {"temperature": 0.5}}
    assert client.post("/createModel/ada", json=persona).status_code == 201
    answer = client.post("/generate", json={"modelName": "ada", "user_prompt": "Who are you?"})
    assert answer.json()["message"] == "Hello there"
    _, sent, headers = stand_in.sent[-1]
    assert sent["model"] == "big"
    assert sent["temperature"] == 0.5
    assert sent["messages"][0] == {"role": "system", "content": "Be Ada."}
    assert headers["authorization"] == f"Bearer {KEY}"
    shown = client.get("/show_model/ada").json()
    assert shown["back_end"] == "cellar"
    assert shown["base"] == "big"
    refusal = client.delete("/backends/cellar")
    assert refusal.status_code == 409
    assert "ada" in refusal.json()["detail"]
    assert client.delete("/deleteModel/ada").status_code == 200
    assert client.delete("/backends/cellar").status_code == 200
    assert "big" not in client.get("/list_models").json()["All Created Models"]
    assert client.get("/backends/cellar").status_code == 404


def test_its_parameters_may_be_otherwise_where_the_operator_lists_them(
    service: Service, stand_in: StandIn, address: str
) -> None:
    client = service.client
    dialect = {"add": {"reasoning_effort": "low"}}
    made(client, address, provider="vllm", base_url=f"{address}/vllm/v1", dialect=dialect)
    wanted = {"extra": {"reasoning_effort": "high"}, "stop_token_ids": [2], "options": {"top_k": 4}}
    answer = client.patch("/models/big", json=wanted)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["extra"], answer.json()["back_end"]) == (wanted["extra"], "cellar")
    for path, body in (
        ("/generate", {"modelName": "big", "user_prompt": "Hello"}),
        ("/complete", {"model": "big", "prompt": "Hello"}),
    ):
        assert client.post(path, json=body).status_code == 200
        sent = stand_in.sent[-1][1]
        assert (sent["reasoning_effort"], sent["stop_token_ids"], sent["top_k"]) == ("high", [2], 4)
    answer = client.post("/embed", json={"model": "vectors", "input": ["a", "b"]})
    assert (answer.json()["dimension"], len(answer.json()["vectors"])) == (2, 2)
    refusal = client.patch("/backends/cellar", json={"dialect": {}})
    assert (refusal.status_code, "'big' (extra)" in refusal.text) == (409, True)
    extras: tuple[dict[str, Any], ...]
    extras = ({"messages": []}, {"model": "else"}, {"logit_bias": {}})
    for extra in extras:
        assert client.patch("/models/big", json={"extra": extra}).status_code == 422
    client.delete("/backends/cellar")
    made(client, address)  # under its name there is nothing left of it
    assert "extra" not in client.get("/show_model/big").json()


def test_it_is_told_that_functions_are_left_out_where_the_template_of_vllm_would_drop_them(
    service: Service, stand_in: StandIn, address: str
) -> None:
    client = service.client
    told = made(
        client,
        address,
        provider="vllm",
        base_url=f"{address}/vllm/v1",
        models={name: name for name in ("big", "deaf", "tuned")},
    )
    able = {name for name, model in told["models"].items() if "tools" in model["capabilities"]}
    assert (able, told["fault"]) == ({"big", "tuned"}, None)
    assert told["models"]["tuned"]["context_length"] == 4096  # of the one that it is an adapter on
    function = {"type": "function", "function": {"name": "weather"}}
    asked = {"messages": [{"role": "user", "content": "Hi"}], "tools": [function]}
    for name in ("big", "deaf"):
        answer = client.post("/v1/chat/completions", json={"model": name, **asked}).json()
        assert ("tools" in stand_in.sent[-1][1]) == ("notice" not in answer) == (name == "big")


def test_a_dialect_that_takes_less_breaks_no_model(
    service: Service, stand_in: StandIn, address: str
) -> None:
    client = service.client
    made(client, address)
    personas: dict[str, dict[str, Any]]
    personas = {"ada": {"parameters": {"top_k": 5}}, "bob": {"template": "chatml"}}
    for name, own in personas.items():
        assert client.post(f"/createModel/{name}", json={"baseModel": "big", **own}).is_success
    assert client.patch("/models/big", json={"options": {"min_p": 0.1}}).is_success
    strict = {"provider": "openai", "base_url": f"{address}/generic/v1"}
    refusal = client.patch("/backends/cellar", json=strict)
    assert refusal.status_code == 409
    assert "'ada' (top_k), 'big' (min_p), 'bob' (template)" in refusal.json()["detail"]
    assert client.get("/backends/cellar").json()["provider"] == "generic"
    assert client.patch("/backends/cellar", json={"max_queued": 9}).is_success
    assert client.patch("/models/big", json={"options": {}}).is_success
    for name in ("ada", "bob"):
        assert client.delete(f"/deleteModel/{name}").is_success
    assert client.patch("/backends/cellar", json=strict).is_success
    asked = {"modelName": "big", "user_prompt": "Who are you?"}
    assert client.post("/generate", json=asked).json()["message"] == "Hello there"
    assert not {"top_k", "min_p"} & stand_in.sent[-1][1].keys()


def test_a_key_is_in_a_file_that_nobody_else_reads_and_in_no_answer_row_or_log(
    tmp_path: Path, stand_in: StandIn, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_service(tmp_path) as service:
        client = service.client
        told = made(client, address)
        assert told["key"] == "file"
        answers = [told, client.get("/backends").json(), client.get("/backends/cellar").json()]
        persona = {"baseModel": "big", "system": "Be Ada.", "parameters": {"stop": ["#"]}}
        client.post("/createModel/ada", json=persona)
        models = {"locked": "locked"}
        client.patch("/backends/cellar", json={"models": models, "max_queued": 3})
        asked = client.post("/generate", json={"modelName": "locked", "user_prompt": "?"})
        assert asked.status_code == 502
        assert "'cellar' does not take the key" in asked.json()["detail"]
        file = tmp_path / "keys" / "cellar"
        assert file.read_text() == KEY
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        everything = json.dumps([answers, asked.json(), caplog.text])
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != file:
            assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in everything
    with open_service(tmp_path) as service:  # it survives a restart
        told = service.client.get("/backends/cellar").json()
        assert (told["key"], list(told["models"])) == ("file", ["locked"])
        assert (told["max_queued"], told["personas"]) == (3, ["ada"])
        answer = service.client.post("/generate", json={"modelName": "ada", "user_prompt": "?"})
        assert answer.json()["message"] == "Hello there"  # `big` has no name any more
        assert stand_in.sent[-1][1]["stop"] == ["#"]
        service.client.delete("/deleteModel/ada")
        assert service.client.delete("/backends/cellar").status_code == 200
        assert not file.exists()


def test_a_key_of_the_environment_is_named(
    service: Service, stand_in: StandIn, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLAR_API_KEY", KEY)
    said = {"base_url": f"{address}/generic/v1", "models": MADE}
    for wrong in ("HOME", "LLM_FASTAPI_API_KEY", "MISSING_API_KEY"):
        answer = service.client.post("/backends/cellar", json={**said, "key_env": wrong})
        assert answer.status_code == 422, wrong
    told = made(service.client, address, key=None, key_env="CELLAR_API_KEY")
    assert told["key"] == "CELLAR_API_KEY"
    assert not (Path(service.app.state.services.settings.data_dir) / "keys" / "cellar").exists()
    elsewhere = {"base_url": "http://127.0.0.1:1/v1"}
    refusal = service.client.patch("/backends/cellar", json=elsewhere)
    assert refusal.status_code == 422
    assert "another address" in refusal.json()["detail"]
    assert os.environ["CELLAR_API_KEY"] == KEY


def test_a_model_that_embeds_a_collection_stays(
    service: Service, stand_in: StandIn, address: str
) -> None:
    client = service.client
    made(client, address)
    collection = client.post("/collections", json={"name": "handbooks", "embedder": "vectors"})
    assert collection.status_code == 201, collection.text
    for refusal in (
        client.delete("/backends/cellar"),
        client.patch("/backends/cellar", json={"models": {"big": "big"}}),
        client.patch("/backends/cellar", json={"models": {"vectors": "vectors"}}),
    ):
        assert refusal.status_code == 409
        assert "handbooks" in refusal.json()["detail"]
    assert list(client.get("/backends/cellar").json()["models"]) == ["big", "vectors"]
    assert client.delete(f"/collections/{collection.json()['id']}").status_code == 200
    assert client.delete("/backends/cellar").status_code == 200


def test_who_waits_meets_a_change_and_what_runs_keeps_the_key_of_its_address(
    service: Service, stand_in: StandIn, address: str
) -> None:
    made(service.client, address)
    services = service.app.state.services
    running = services.back_ends.behind("big")
    waiting = services.runtime.chat("big", [Message("user", "Hello")], Options())
    change = {"key": "another", "models": {"big": "json"}}
    assert service.client.patch("/backends/cellar", json=change).status_code == 200

    async def said(stream: AsyncGenerator[Piece, None]) -> str:
        return "".join([piece.text async for piece in stream])

    assert service.client.portal
    assert service.client.portal.call(said, waiting) == '{"city": "Rome"}'
    assert stand_in.sent[-1][2]["authorization"] == "Bearer another"
    late = running.chat("big", [Message("user", "Hello")], Options())
    assert service.client.portal.call(said, late)
    assert stand_in.sent[-1][2]["authorization"] == f"Bearer {KEY}"


def test_a_key_that_was_left_behind_is_sent_to_nobody(
    service: Service, stand_in: StandIn, address: str
) -> None:
    folder = Path(service.app.state.services.settings.data_dir) / "keys"
    folder.mkdir()
    (folder / "cellar").write_text("of somebody else")
    told = made(service.client, address, key=None)
    assert told["key"] == "none"
    service.client.post("/generate", json={"modelName": "big", "user_prompt": "Hello"})
    assert "authorization" not in stand_in.sent[-1][2]


def test_one_that_does_not_answer_is_made_and_keeps_the_service_ready(service: Service) -> None:
    said = {"base_url": "http://127.0.0.1:9/v1", "models": {"far": "far"}, "retries": 0}
    made = service.client.post("/backends/away", json=said)
    assert made.status_code == 201
    assert "cannot be reached" in made.json()["fault"]
    assert made.json()["models"]["far"]["context_length"] == 8192
    ready = service.client.get("/readyz")
    assert ready.status_code == 200
    assert "'away' cannot be reached" in ready.text
    assert "far" in service.client.get("/list_models").json()["All Created Models"]
    asked = service.client.post("/generate", json={"modelName": "far", "user_prompt": "?"})
    assert asked.status_code == 503
    assert asked.headers["Retry-After"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with open_service(tmp_path_factory.mktemp("refused")) as service:
        yield service


@pytest.mark.parametrize(
    ("said", "status", "where"),
    [
        ({"base_url": "http://8.8.8.8/v1"}, 422, "base_url"),
        ({"base_url": "http://169.254.169.254/v1"}, 422, "base_url"),
        ({"base_url": "https://169.254.169.254/v1"}, 422, "base_url"),
        ({"base_url": "https://2852039166/v1"}, 422, "base_url"),  # the same as one number
        ({"base_url": "https://0xa9fea9fe/v1"}, 422, "base_url"),
        ({"base_url": "https://[::ffff:169.254.169.254]/v1"}, 422, "base_url"),
        ({"base_url": "https://[64:ff9b::a9fe:a9fe]/v1"}, 422, "base_url"),
        ({"base_url": "https://[2002:a9fe:a9fe::1]/v1"}, 422, "base_url"),
        ({"base_url": "https://[fd00:ec2::254]/v1"}, 422, "base_url"),
        ({"base_url": "https://[64:ff9b:1::a9fe:a9fe]/v1"}, 422, "base_url"),
        ({"base_url": "https://[::ffff:0:169.254.169.254]/v1"}, 422, "base_url"),
        ({"base_url": "https://[fe80::1]/v1"}, 422, "base_url"),
        ({"base_url": "https://metadata.google.internal/v1"}, 422, "base_url"),
        ({"base_url": "https://Metadata.Google.Internal./v1"}, 422, "base_url"),
        ({"base_url": "https://100.100.100.200/v1"}, 422, "base_url"),
        ({"base_url": "http://0.0.0.0/v1"}, 422, "base_url"),
        ({"base_url": "ftp://127.0.0.1/v1"}, 422, "base_url"),
        ({"base_url": "http://user:secret@127.0.0.1/v1"}, 422, "base_url"),
        ({"base_url": "http://127.0.0.1/v1?key=secret"}, 422, "base_url"),
        ({"base_url": "http://127.0.0.1:99999/v1"}, 422, "base_url"),
        ({}, 422, "base_url"),
        ({"provider": "nobody"}, 422, "provider"),
        ({"base_url": "http://127.0.0.1:9/v1", "models": {}}, 422, "models"),
        ({"base_url": "http://127.0.0.1:9/v1", "models": {"DEMO": "x"}}, 409, None),
        ({"base_url": "http://127.0.0.1:9/v1", "models": {"../x": "x"}}, 422, "modelName"),
        ({"base_url": "http://127.0.0.1:9/v1", "key": "two\nlines"}, 422, "key"),
        ({"base_url": "http://127.0.0.1:9/v1", "dialect": {"add": {"model": "x"}}}, 422, "dialect"),
        ({"base_url": "http://127.0.0.1:9/v1", "dialect": {"key_header": "Host"}}, 422, "dialect"),
        ({"base_url": "http://127.0.0.1:9/v1", "engine": {"x": 1}}, 422, None),
        ({"base_url": "http://127.0.0.1:9/v1", "retries": 99}, 422, None),
    ],
)
def test_what_may_not_be_is_refused_and_leaves_nothing(
    shared: Service, said: dict[str, Any], status: int, where: str | None
) -> None:
    answer = shared.client.post("/backends/odd", json={"models": {"one": "one"}, **said})
    assert answer.status_code == status, answer.text
    if where:
        assert answer.json().get("where") == where
    assert shared.client.get("/backends").json() == {"backends": []}
    assert not (Path(shared.app.state.services.settings.data_dir) / "keys").exists()


def test_only_an_admin_of_the_first_workspace_has_back_ends(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="of-the-settings") as service:
        client = service.client
        admin = {"Authorization": "Bearer of-the-settings"}
        for scopes, workspace in ((["use", "train"], "default"), (["admin"], "team")):
            key = client.post(
                "/keys",
                json={"alias": "one", "scopes": scopes, "workspace": workspace},
                headers=admin,
            ).json()["key"]
            theirs = {"Authorization": f"Bearer {key}"}
            for method, path in (("GET", ""), ("POST", "/x"), ("PATCH", "/x"), ("DELETE", "/x")):
                answer = client.request(method, f"/backends{path}", headers=theirs)
                assert answer.status_code == 403, (scopes, method)
        assert client.get("/backends", headers=admin).json() == {"backends": []}
