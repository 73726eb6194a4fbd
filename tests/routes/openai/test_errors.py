"""Below /v1 every refusal has OpenAI's form, whoever refuses."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, ValidationError

from api.routes.openai.chat import ChatRequest
from api.routes.openai.completions import CompletionRequest
from api.routes.openai.embeddings import EmbeddingsRequest
from tests.routes.openai.conftest import sdk_over
from tests.service import Service, open_service

BIASES = {str(number): "much" for number in range(9999)}
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/Chat/Completions", 404),
        ("POST", "/v1/chat_completions", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("GET", "/v1/models/missing", 404),
    ],
)
def test_a_path_that_is_none(service: Service, method: str, path: str, status: int) -> None:
    answer = service.client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]


def test_a_base_url_that_is_too_long_is_named(service: Service) -> None:
    path = "/v1/chat/completions/chat/completions"
    answer = service.client.post(path, json={"model": "demo", "messages": HELLO})
    assert answer.status_code == 404
    assert "let it end with /v1" in answer.json()["error"]["message"]


def test_an_unknown_model_is_the_sdks_own_error(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.chat.completions.create(model="nobody", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert "demo" in caught.value.message


def test_a_prompt_that_is_too_long_says_so_by_its_code(sdk: openai.OpenAI) -> None:
    turns = [{"role": "user", "content": "word " * 5000}]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="demo", messages=turns)  # type: ignore[arg-type]
    assert caught.value.code == "context_length_exceeded"


def test_a_wrong_key_is_an_authentication_error(tmp_path: Path) -> None:
    with open_service(tmp_path, api_key="secret") as service:
        with pytest.raises(openai.AuthenticationError) as caught:
            sdk_over(service.client, "guessed").models.list()
        assert caught.value.code == "invalid_api_key"
        assert sdk_over(service.client, "secret").models.list().data


def test_what_is_useless_to_repeat_says_so(service: Service) -> None:
    answer = service.client.post("/v1/chat/completions", content=b"{")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_defect_has_the_form_too(service: Service, sdk: openai.OpenAI) -> None:
    service.runtime.will_answer(RuntimeError("nobody expects this"))
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.chat.completions.create(model="demo", messages=HELLO)
    assert caught.value.type == "server_error"
    assert "nobody expects" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "members", "param"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": [0] * 9999}]}, "messages.0"),
        ("chat/completions", {"messages": HELLO, "logit_bias": {"x": 1} | BIASES}, "logit_bias"),
        ("completions", {"prompt": [["x"] * 9999]}, "prompt.0"),
        ("embeddings", {"input": [["x"] * 9999]}, "input.0"),
    ],
)
def test_of_many_wrong_elements_few_are_told(
    service: Service, path: str, members: dict[str, object], param: str
) -> None:
    answer = service.client.post(f"/v1/{path}", json={"model": "demo", **members})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(param)
    requests: dict[str, type[BaseModel]] = {
        "chat/completions": ChatRequest,
        "completions": CompletionRequest,
        "embeddings": EmbeddingsRequest,
    }
    with pytest.raises(ValidationError) as caught:
        requests[path].model_validate({"model": "demo", **members})
    assert caught.value.error_count() < 10


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/chat/completions", "let it end with /v1"),
        ("/models", "let it end with /v1"),
        ("/fine_tuning/jobs/job_1/events", "let it end with /v1"),
        ("//v1/models", "a slash too many"),
        ("/v1/embeddings/", "slash at its end"),
        ("/v1//models", "two in a row"),
    ],
)
def test_a_base_url_that_leads_beside_the_door_is_explained_in_its_form(
    service: Service, path: str, advice: str
) -> None:
    answer = service.client.get(f"http://127.0.0.1{path}")
    assert answer.status_code == 404
    assert advice in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"data": {"model": "demo"}}, "application/json"),
        ({"files": {"model": (None, "demo")}}, "application/json"),
        ({"content": b"<a/>", "headers": {"content-type": "text/xml"}}, "application/json"),
        ({"json": {"model": "demo", "messages": []}}, "messages: At least 1 are needed."),
        ({"json": {"model": "demo", "messages": HELLO, "stop": ""}}, " Or: A list is needed."),
        (
            {"json": {"model": "demo", "messages": [{"role": "user", "content": [{"type": "x"}]}]}},
            "Its 'type' is one of 'text', 'refusal'",
        ),
    ],
)
def test_what_is_no_request_is_told_in_our_words(
    service: Service, sent: dict[str, Any], told: str
) -> None:
    answer = service.client.post("/v1/chat/completions", **sent)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_the_mark_of_utf_8_before_json_says_nothing(service: Service) -> None:
    content = b"\xef\xbb\xbf" + json.dumps({"model": "demo", "messages": HELLO}).encode()
    for kind in ("application/json", "text/plain"):
        answer = service.client.post(
            "/v1/chat/completions", content=content, headers={"content-type": kind}
        )
        assert answer.status_code == 200


def test_who_asks_an_unknown_model_for_vectors_is_told_those_that_make_them(
    sdk: openai.OpenAI,
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.embeddings.create(model="text-embedding-ada-002", input="one")
    assert caught.value.code == "model_not_found"
    known = caught.value.message.partition("Models: ")[2]
    assert known.rstrip(".") == sdk.models.list().data[-1].id
