"""Below /v1 every refusal has OpenAI's form, whoever refuses."""

from pathlib import Path

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
