"""The page that Prometheus reads, over real requests."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.errors import BackEndFailed
from tests.service import Service

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(service: Service) -> Samples:
    """Every value of the page by its name and labels."""
    answer = service.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def ask(service: Service, text: str = "one two three") -> None:
    service.client.post("/generate", json={"modelName": "demo", "user_prompt": text})


def test_an_answer_is_counted(service: Service) -> None:
    ask(service)
    found = samples(service)
    demo = (("model_name", "demo"),)
    assert found["llm_fastapi_generation_tokens_total", demo] == 3
    assert found["llm_fastapi_time_to_first_token_seconds_count", demo] == 1
    assert found["llm_fastapi_e2e_request_latency_seconds_count", demo] == 1
    assert found["llm_fastapi_request_queue_time_seconds_count", demo] == 1
    stopped = (("finished_reason", "stop"), ("model_name", "demo"))
    assert found["llm_fastapi_request_success_total", stopped] == 1
    route = (("route", "/generate"), ("status", "200"))
    assert found["llm_fastapi_http_requests_total", route] == 1


def test_a_failure_is_counted_by_its_title(service: Service) -> None:
    service.runtime.will_answer(BackEndFailed("gone"))
    ask(service)
    failed = (("error", "Back end failed"), ("model_name", "demo"))
    assert samples(service)["llm_fastapi_request_failure_total", failed] == 1


def test_documents_are_counted_by_status(service: Service) -> None:
    files = {"file": ("orlo.txt", "Orlo is a light.", "text/plain")}
    service.client.post("/importDocument?modelName=demo", files=files).raise_for_status()
    assert samples(service)["llm_fastapi_documents", (("status", "ready"),)] == 1


@pytest.mark.parametrize("path", ["/nothing/here", "/v1/nothing"])
def test_what_strangers_ask_for_makes_no_label(service: Service, path: str) -> None:
    service.client.get(path)
    routes = {dict(labels).get("route", "") for _, labels in samples(service)}
    assert not any("nothing" in route for route in routes)
