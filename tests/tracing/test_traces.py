"""What a collector is told of real requests: by the conventions, and no word of a prompt unless it is wanted."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import TracerProvider
from starlette.testclient import TestClient

from api.errors import BackEndFailed
from api.runtime.traced import TracedRuntime
from tests.documents.house import House
from tests.fakes import FakeRuntime
from tests.service import serving_house, settings_of
from tests.tracing.collector import Collector, attributes, collecting

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
SECRET = "zeppelin"
ASKED = {"modelName": "demo", "user_prompt": f"Where is the {SECRET}?", "documents": ["*"]}


@contextlib.contextmanager
def traced(
    folder: Path, collector: Collector, closing_seconds: float = 60, **values: Any
) -> Iterator[tuple[TestClient, FakeRuntime]]:
    """A service that tells that collector, all of it when it has ended."""
    fake = FakeRuntime()
    house = House(folder, runtime=cast(FakeRuntime, TracedRuntime(fake, "llama_cpp")))
    settings = settings_of(folder, otlp_endpoint=collector.url, expansions=0, **values)
    with pytest.MonkeyPatch.context() as patched, serving_house(house, settings) as client:
        patched.setattr("api.tracing.otlp.CLOSING_SECONDS", closing_seconds)
        files = {"file": ("museum.txt", f"The {SECRET} hangs above the stairs.", "text/plain")}
        client.post("/importDocument", files=files).raise_for_status()
        yield client, fake


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """What was told of one answer from documents, one that failed, and what monitors ask."""
    with collecting() as collector:
        with traced(tmp_path_factory.mktemp("traced"), collector) as (client, fake):
            fake.will_answer(f"The {SECRET} hangs above the stairs [1].")
            asked = {**ASKED, "temperature": 0.5, "max_tokens": 50}
            client.post("/generate", json=asked, headers=TRACED).raise_for_status()
            fake.will_answer(BackEndFailed(f"no {SECRET}"))
            body = {"model": "demo", "messages": [{"role": "user", "content": SECRET}]}
            assert client.post("/v1/chat/completions", json=body).status_code == 502
            client.get("/healthz")
            client.get("/metrics")
        return collector


def test_a_request_is_a_trace_that_goes_on_with_the_callers(told: Collector) -> None:
    request = told.named("POST /generate")
    assert told.services == {"llm-fastapi"}
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, CALLER)
    said = attributes(request.attributes)
    assert said.pop("llm_fastapi.request.id")
    assert said == {
        "http.request.method": "POST",
        "http.route": "/generate",
        "http.response.status_code": 200,
    }
    parts = [one.name for one in told.spans if one.parent_span_id == request.span_id]
    assert {name.split()[0] for name in parts} == {"chat", "retrieval", "embeddings"}


def test_an_answer_is_told_by_the_conventions(told: Collector) -> None:
    chats = [one for one in told.spans if one.name == "chat demo"]
    said = attributes(next(one for one in chats if one.trace_id.hex() == TRACE).attributes)
    assert said.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert said.pop("gen_ai.usage.input_tokens") > 0
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "llama_cpp",
        "gen_ai.request.model": "demo",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.response.model": "demo",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.output_tokens": 7,
    }


def test_a_failure_is_told_by_its_kind(told: Collector) -> None:
    request = told.named("POST /v1/chat/completions")
    (part,) = [one for one in told.spans if one.parent_span_id == request.span_id]
    assert attributes(part.attributes)["error.type"] == "BackEndFailed"
    assert attributes(request.attributes)["error.type"] == "502"
    assert {part.status.code, request.status.code} == {2}  # an error


def test_no_word_of_a_prompt_an_answer_or_a_passage_is_told(told: Collector) -> None:
    assert SECRET not in str(told.spans)


def test_what_monitors_ask_is_not_traced(told: Collector) -> None:
    asked = {one.name for one in told.spans if not one.parent_span_id or one.name.startswith("GET")}
    assert asked == {"POST /importDocument", "POST /v1/chat/completions"}


def test_words_are_told_where_they_are_wanted(tmp_path: Path) -> None:
    with collecting() as collector:
        with traced(tmp_path, collector, trace_content=True) as (client, fake):
            fake.will_answer(f"The {SECRET} hangs above the stairs [1].")
            client.post("/generate", json=ASKED, headers=TRACED).raise_for_status()
        chat = attributes(collector.named("chat demo").attributes)
        *_, asked = json.loads(chat["gen_ai.input.messages"])
        assert SECRET in asked["parts"][0]["content"]
        (answer,) = json.loads(chat["gen_ai.output.messages"])
        assert answer["parts"][0]["content"].endswith("above the stairs [1].")
        (found,) = [one for one in collector.spans if one.name.startswith("retrieval")]
        assert SECRET in attributes(found.attributes)["gen_ai.retrieval.query.text"]


def test_a_collector_that_is_away_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere, is_over = Collector(url="http://127.0.0.1:9"), threading.Event()
    shutdown = TracerProvider.shutdown

    def never(provider: TracerProvider) -> None:
        is_over.wait(120)
        shutdown(provider)

    monkeypatch.setattr(TracerProvider, "shutdown", never)
    with traced(tmp_path, nowhere, closing_seconds=0.5) as (client, _):
        assert client.post("/generate", json=ASKED).status_code == 200
        ending = time.monotonic()
    assert time.monotonic() - ending < 60
    is_over.set()
