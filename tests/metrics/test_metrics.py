"""The page that Prometheus reads, over real requests."""

import os
import time
from pathlib import Path

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.errors import BackEndFailed
from api.store.jobs import new_job_id
from tests.routes.test_isolation import within
from tests.service import Service

GIB = 2**30

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


def test_a_model_that_is_deleted_is_not_told_of_for_ever(service: Service) -> None:
    service.client.post("/createModel/ada", json={"baseModel": "demo"}).raise_for_status()
    service.client.post("/generate", json={"modelName": "ada", "user_prompt": "hello"})
    service.runtime.will_answer(BackEndFailed("gone"))
    service.client.post("/generate", json={"modelName": "ada", "user_prompt": "hello"})
    ask(service)
    assert ("model_name", "ada") in {label for _, labels in samples(service) for label in labels}
    service.client.delete("/deleteModel/ada").raise_for_status()
    left = {label for _, labels in samples(service) for label in labels}
    assert ("model_name", "demo") in left
    assert ("model_name", "ada") not in left


def test_documents_are_counted_by_status(service: Service) -> None:
    files = {"file": ("orlo.txt", "Orlo is a light.", "text/plain")}
    service.client.post("/importDocument?modelName=demo", files=files).raise_for_status()
    assert samples(service)["llm_fastapi_documents", (("status", "ready"),)] == 1


@pytest.mark.parametrize("path", ["/nothing/here", "/v1/nothing"])
def test_what_strangers_ask_for_makes_no_label(service: Service, path: str) -> None:
    service.client.get(path)
    routes = {dict(labels).get("route", "") for _, labels in samples(service)}
    assert not any("nothing" in route for route in routes)


def put_nvidia_smi(folder: Path, *lines: str) -> None:
    """NVIDIA's tool, which tells these lines."""
    tool = folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)


def test_the_memory_of_gpus_is_told_where_there_are_some(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert not [name for name, _ in samples(service) if "gpu" in name]
    put_nvidia_smi(tmp_path, "0, 1024, 81920", "1, [N/A], [N/A]", "No devices were found")
    told = {one: value for one, value in samples(service).items() if "gpu" in one[0]}
    first = (("gpu", "0"),)
    assert told == {
        ("llm_fastapi_gpu_memory_used_bytes", first): GIB,
        ("llm_fastapi_gpu_memory_total_bytes", first): 80 * GIB,
    }
    put_nvidia_smi(tmp_path, "0, 1024, 81920' >&2; exit 9 #")
    assert not [name for name, _ in samples(service) if "gpu" in name]


def test_what_all_workspaces_have_is_counted(service: Service) -> None:
    team = service.app.state.services.of("team")
    files = {"file": ("orlo.txt", "Orlo is a light.", "text/plain")}
    with within(service, "team") as client:
        client.post("/importDocument", files=files).raise_for_status()
    team.store.jobs.add(new_job_id(), "tuned", "base", {})
    found = samples(service)
    assert found["llm_fastapi_documents", (("status", "ready"),)] == 1
    assert found["llm_fastapi_jobs", (("status", "queued"),)] == 1


def test_imports_that_run_and_wait_are_counted(service: Service) -> None:
    importer = service.app.state.services.importer
    none = ("llm_fastapi_num_imports_running", ())
    assert samples(service)[none] == 0
    importer._reader._parsing_small = importer._reader._parsing = anyio.Semaphore(0)
    files = {"file": ("orlo.txt", "Orlo is a light.", "text/plain")}
    service.client.post("/importDocument?wait=false", files=files).raise_for_status()
    deadline = time.monotonic() + 60
    while samples(service)["llm_fastapi_num_imports_waiting", ()] != 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert samples(service)[none] == 0
