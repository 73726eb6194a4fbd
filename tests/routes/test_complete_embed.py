"""POST /complete and POST /embed, and the model that is asked where none is named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.doctor import _hints
from tests.service import Service, open_service

TURNS = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with open_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def with_default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Its default model is not there before a test makes it."""
    with open_service(tmp_path_factory.mktemp("service"), default_model="ada") as service:
        yield service


def test_a_text_is_gone_on_with_as_it_stands(service: Service) -> None:
    service.client.post("/createModel/bob", json={"system": "Be Bob.", "replace": True})
    asked = {"model": "bob", "prompt": "Once upon a time", "max_tokens": 3, "seed": 1}
    answer = service.client.post("/complete", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "model": "bob",
        "text": "Once upon a",
        "finish_reason": "length",
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }
    (said,) = service.runtime.history[-1].messages
    assert said.content == "Once upon a time"


def test_only_a_length_that_the_request_gives_has_to_fit_behind_the_text(service: Service) -> None:
    client = service.client
    sent = {"parameters": {"max_tokens": 200}, "replace": True}
    assert client.post("/createModel/long", json=sent).status_code == 201
    client.patch("/models/demo", json={"options": {"max_tokens": 200}})
    text = {"prompt": "word " * 250, "num_ctx": 256}
    for model in ("long", "demo"):
        answer = client.post("/complete", json={"model": model, **text})
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] < 6
        asked = {"model": model, **text, "max_tokens": 200}
        assert client.post("/complete", json=asked).status_code == 422
    client.patch("/models/demo", json={"options": {}})


def test_it_is_streamed_as_answers_are(service: Service) -> None:
    asked = {"modelName": "demo", "prompt": "Once upon", "stream": "true"}
    text = service.client.post("/complete", data=asked).text
    events = [block.split("\n", 1) for block in text.strip().split("\n\n") if block]
    names = [head.removeprefix("event: ") for head, _ in events]
    assert names == ["token", "token", "done"]
    done = json.loads(events[-1][1].removeprefix("data: "))
    assert done == {
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/complete", {"model": "demo"}, 422),
        ("/complete", {"model": "nobody", "prompt": "x"}, 404),
        ("/complete", {"model": "all-minilm-l6-v2-int8", "prompt": "x"}, 422),
        ("/complete", {"model": "demo", "prompt": "x", "messages": []}, 422),
        ("/embed", {"model": "demo", "input": ["x"]}, 422),
        ("/embed", {"model": "nobody", "input": ["x"]}, 404),
        ("/embed", {"input": []}, 422),
        ("/embed", {"input": ["  "]}, 422),
        ("/embed", {"input": ["x"] * 2049}, 422),
        ("/embed", {"input": ["word " * 600]}, 422),
    ],
)
def test_what_cannot_be_done_is_refused(
    service: Service, path: str, body: dict[str, Any], status: int
) -> None:
    assert service.client.post(path, json=body).status_code == status


def test_each_text_has_a_vector_of_length_1(service: Service) -> None:
    answer = service.client.post("/embed", json={"input": ["a parking pass", "robots"]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model"] == "all-minilm-l6-v2-int8"
    assert [len(one) for one in body["vectors"]] == [body["dimension"]] * 2
    assert all(abs(sum(x * x for x in one) - 1) < 1e-5 for one in body["vectors"])
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    one = service.client.post("/embed", data={"input": "robots"}).json()
    assert one["vectors"] == body["vectors"][1:]


DOORS: list[tuple[str, dict[str, Any], int]] = [
    ("/generate", {"user_prompt": "Hello"}, 422),
    ("/complete", {"prompt": "Hello"}, 422),
    ("/implement", {"function": "def f() -> int: ...", "execute": False}, 422),
    ("/v1/chat/completions", {"messages": TURNS}, 400),
    ("/v1/chat/completions", {"model": "", "messages": TURNS}, 400),
    ("/v1/completions", {"prompt": "Hello"}, 400),
    ("/v1/responses", {"input": "Hello"}, 400),
    ("/v1/messages", {"messages": TURNS, "max_tokens": 9}, 400),
    ("/v1/messages/count_tokens", {"messages": TURNS}, 400),
]
BEHIND: list[tuple[str, dict[str, Any], int]] = [
    ("/search", {"query": "Hello"}, 422),
    ("/search", {"query": "Hello", "collection": "none", "expand": True}, 422),
    ("/evaluations/retrieval/proposals", {"count": 1}, 422),
    ("/predict", {"table": "none", "input": "name", "into": "said"}, 422),
]
"""Doors whose model needs documents or rows."""


@pytest.mark.parametrize(("path", "body", "status"), [*DOORS, *BEHIND])
def test_without_a_default_a_request_that_names_no_model_is_told_so(
    service: Service, path: str, body: dict[str, Any], status: int
) -> None:
    answer = service.client.post(path, json=body)
    assert answer.status_code == status
    assert "LLM_FASTAPI_DEFAULT_MODEL" in answer.text


def test_the_default_is_asked_where_no_model_is_named(with_default: Service) -> None:
    client = with_default.client

    def hints() -> list[str]:
        return [one for one in client.get("/readyz").json()["hints"] if "DEFAULT_MODEL" in one]

    assert "No model named 'ada'" in hints()[0]
    found = client.portal.call(_hints, with_default.app.state.services)  # type: ignore[union-attr]
    assert any("No model named 'ada'" in one for one in found)
    assert client.post("/generate", json={"user_prompt": "Hello"}).status_code == 404
    assert client.post("/createModel/ada", json={"system": "Be Ada."}).status_code == 201
    assert not hints()
    for path, body, _ in DOORS:
        if path != "/implement":
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
    assert {call.model for call in with_default.runtime.history} == {"ada"}
    behind = [client.post(path, json=body) for path, body, _ in BEHIND]
    assert [one.status_code for one in behind] == [200, 404, 404, 404], [one.text for one in behind]


def test_a_key_needs_the_default_among_its_models(tmp_path: Path) -> None:
    with open_service(tmp_path, default_model="demo", api_key="the-first-admin") as service:
        first = {"Authorization": "Bearer the-first-admin"}
        wanted = {"alias": "narrow", "models": ["other"]}
        made = service.client.post("/keys", json=wanted, headers=first).json()
        narrow = {"Authorization": f"Bearer {made['key']}"}
        embed = ("/embed", {"input": ["Hi"]})
        search = ("/search", {"query": "Hi"})
        for path, body in (("/generate", {"user_prompt": "Hi"}), DOORS[3][:2], embed, search):
            assert service.client.post(path, json=body, headers=narrow).status_code == 404
            assert service.client.post(path, json=body, headers=first).status_code == 200
