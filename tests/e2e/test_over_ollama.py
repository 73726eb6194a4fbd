"""The service over an Ollama server: lineage, damaged and foreign models, and a job that has the GPU to itself."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from finetune.job.workers import report_worker
from tests.documents.pdfs import pdf
from tests.e2e.conftest import ROOT, Server
from tests.ollama_double.running import running_double

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ASKED = {"modelName": "bob", "user_prompt": "Hello", "max_tokens": "4"}


@pytest.fixture
def server(ollama_of_two: Callable[[Path], None], tmp_path: Path) -> Iterator[Server]:
    """A server that leaves jobs to a worker, over a double of Ollama with `demo` and `embedder`."""
    ollama_of_two(tmp_path / "ollama")
    with running_double(tmp_path / "ollama", has_gpu=True) as url:
        settings = {
            "LLM_FASTAPI_RUNTIME": "ollama",
            "LLM_FASTAPI_OLLAMA_URL": url,
            "LLM_FASTAPI_EMBEDDING_MODEL": "embedder",
            "LLM_FASTAPI_RUNNER": "worker",
        }
        server = Server(tmp_path / "data", settings).start()
        for name, base in (("ada", "demo"), ("bob", "ada")):
            made = server.client.post(f"/createModel/{name}", data={"baseModel": base})
            assert made.status_code == 201, made.text
        yield server
        server.stop()


def until(is_so: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def fine_tuned(server: Server) -> httpx2.Response:
    """The answer to a fine-tune of `bob`."""
    with (ROOT / "examples" / "train.csv").open("rb") as file:
        return server.client.post(
            "/fine_tune_model/tuned", params={"baseModel": "bob"}, files={"train_dataset": file}
        )


def test_while_a_worker_trains_on_a_gpu_questions_are_refused_and_imports_wait(
    server: Server,
) -> None:
    ask = server.client
    assert ask.post("/generate", data=ASKED).status_code == 200
    report_worker(server.data_dir / "jobs", "gpu0", "gpu")
    job = fine_tuned(server).json()["job_id"]
    until(lambda: ask.get(f"/jobs/{job}").json()["status"] == "running")
    refused = ask.post("/generate", data=ASKED)
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["retry-after"]) > 0
    assert f"Job {job} trains on the GPU" in refused.json()["detail"]
    assert f"Job {job} has the GPU" in str(ask.get("/readyz").json()["hints"])
    imported = ask.post(
        "/importDocument",
        params={"modelName": "bob", "wait": "false"},
        files={"file": ("rivers.pdf", pdf("The Elbe is a river."))},
    )
    assert imported.status_code == 202, imported.text
    where = imported.headers["location"]
    time.sleep(1)
    assert ask.get(where).json()["status"] == "importing"
    assert ask.post(f"/jobs/{job}/cancel").status_code == 202
    until(lambda: ask.post("/generate", data=ASKED).status_code == 200)
    until(lambda: ask.get(where).json()["status"] == "ready")


def test_a_persona_is_trained_from_the_base_below_what_it_is_built_on(server: Server) -> None:
    again = {"baseModel": "ada", "replace": "true", "system": "Be kind."}
    assert server.client.post("/createModel/ada", data=again).status_code == 201
    for name in ("ada", "bob"):
        assert server.client.get(f"/show_model/{name}").json()["trainable"] is True
    assert server.client.delete("/deleteModel/ada").status_code == 200
    assert fine_tuned(server).status_code == 202


def test_a_model_that_the_server_cannot_read_is_deleted_and_replaced(
    server: Server, tmp_path: Path
) -> None:
    (manifest,) = (tmp_path / "ollama" / "manifests").glob("*/*/ada/latest")
    digest = json.loads(manifest.read_text())["config"]["digest"]
    lost = tmp_path / "ollama" / "blobs" / digest.replace(":", "-")
    kept = lost.rename(tmp_path / "kept")
    listed = server.client.get("/list_models").json()["All Created Models"]
    assert "ada" not in listed
    assert server.client.delete("/deleteModel/ada").status_code == 200
    assert not manifest.exists()
    assert server.client.delete("/deleteModel/ada").status_code == 404
    kept.rename(lost)
    again = {"baseModel": "demo", "replace": "true"}
    assert server.client.post("/createModel/bob", data=again).status_code == 201
