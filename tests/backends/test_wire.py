"""The wire of our own servers, over a writer of a few words."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.model_servers.wire import application
from api.model_servers.writing import End, Said, Writing, until


class Counting:
    """`Writer` that says what it was told, and counts it."""

    name = "counting"
    context_length = 99
    takes = frozenset({"temperature", "max_tokens"})
    at_once = 1
    stuck_seconds = 1.0

    def chat(self, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> Writing:
        """Its pieces."""
        yield from (f"{messages[-1]['content']} ", json.dumps(options))
        yield End("length", 3, 2)

    def complete(self, prompt: str | list[int], options: Mapping[str, Any]) -> Writing:
        """Its prompt."""
        yield str(prompt)
        yield End()

    def tokens(self, said: Mapping[str, Any]) -> list[int]:
        """One a letter."""
        return [1] * len(said["prompt"])


HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
KEY = {"Authorization": "Bearer secret"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    """One that knows the key."""
    with TestClient(application(Counting(), "secret"), headers=KEY) as client:
        yield client


def test_an_answer_comes_whole_or_in_events(client: TestClient) -> None:
    asked = {**HELLO, "max_completion_tokens": 5, "temperature": 0.5}
    whole = client.post("/v1/chat/completions", json=asked).json()
    (choice,) = whole["choices"]
    assert choice["message"]["content"].startswith("Hello {")
    assert json.loads(choice["message"]["content"][6:]) == {"max_tokens": 5, "temperature": 0.5}
    assert choice["finish_reason"] == "length"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    streamed = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    lines = client.post("/v1/chat/completions", json=streamed).text.split("\n\n")
    *events, usage = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert lines[-2] == "data: [DONE]"
    text = "".join(event["choices"][0]["delta"]["content"] for event in events)
    assert text == choice["message"]["content"]
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


def test_texts_tokens_the_model_and_health_are_told(client: TestClient) -> None:
    made = client.post("/v1/completions", json={"prompt": [1, 2]}).json()
    assert made["choices"][0]["text"] == "[1, 2]"
    assert made["usage"] is None  # who does not count says none
    assert client.post("/tokenize", json={"prompt": "abc"}).json()["count"] == 3
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["max_model_len"]) == ("counting", 99)
    other = {"Authorization": "Bearer other"}
    assert client.get("/health", headers=other).status_code == 200
    assert client.get("/v1/models", headers=other).status_code == 401


@pytest.mark.parametrize(
    ("said", "status", "param"),
    [
        ({"top_p": 0.5}, 400, "top_p"),
        ({"n": 2}, 400, "n"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"max_tokens": True}, 400, "max_tokens"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"stop": 5}, 400, "stop"),
        ({"stop": ["", "x"]}, 400, "stop"),
        ({"response_format": "json"}, 400, "response_format"),
        ({"messages": 5}, 400, "messages"),
        ({"messages": [{"role": "user", "content": ["text"]}]}, 400, "messages"),
        ({"tools": [{}]}, 400, "tools"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"messages": [None]}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages"),
        ({"model": "other"}, 404, "model"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    client: TestClient, said: dict[str, Any], status: int, param: str
) -> None:
    answer = client.post("/v1/chat/completions", json={**HELLO, **said})
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
    assert client.post("/v1/chat/completions", content=b"no JSON").status_code == 400


@pytest.mark.parametrize(
    ("pieces", "stops", "said"),
    [
        (("one ", "two ", "three"), (), "one two three"),
        (("one ", "two ", "three"), ("two",), "one "),
        (("one t", "w", "o three"), ("two", "three"), "one "),
        (("one t", "w"), ("two",), "one tw"),
        (("ab", "ab", "c"), ("abc",), "ab"),
    ],
)
@pytest.mark.parametrize("drains", [True, False])
def test_a_stop_is_found_across_pieces(
    pieces: tuple[str, ...], stops: tuple[str, ...], said: str, drains: bool
) -> None:
    def written() -> Writing:
        yield from pieces
        yield End("stop", 1, len(pieces))

    *texts, end = list[Said](until(written(), stops, drains=drains))
    assert "".join(map(str, texts)) == said
    is_cut = said != "".join(pieces)
    assert end == (End() if is_cut and not drains else End("stop", 1, len(pieces)))
