"""The whole stack in containers: the main job, restarts, and the plug pulled on each container.

Needs a Docker engine and built images (`docker compose build`); run by `scripts/test.sh --stack`.
Ollama may be the real one or the double's image under the same tag.
"""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pypdf import PdfReader

from tests.documents.pdfs import pdf
from tests.stack.running import ROOT, SERVICES, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

EXAMPLES = ROOT / "examples"
QUESTIONS = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
PERSONA = QUESTIONS["persona"]["name"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A fresh stack that holds a persona with the handbook, and a tuned model."""
    stack = Stack()
    stack.compose("down", "--volumes", "--timeout", "20")
    stack.up()
    created = stack.client.post(
        f"/createModel/{PERSONA}", json={"system": QUESTIONS["persona"]["system"]}
    )
    assert created.status_code == 201, created.text
    with (EXAMPLES / "handbook.pdf").open("rb") as file:
        imported = stack.client.post(
            "/importDocument", params={"modelName": PERSONA}, files={"file": ("handbook.pdf", file)}
        )
    assert imported.status_code == 201, imported.text
    job = fine_tune(stack, "tuned")
    follow(stack, job)
    yield stack
    stack.compose("down", "--volumes", "--timeout", "20")


def fine_tune(stack: Stack, name: str) -> str:
    """Submit the example's fine-tune; returns the job's id."""
    with (EXAMPLES / "train.csv").open("rb") as train, (EXAMPLES / "eval.csv").open("rb") as held:
        answer = stack.client.post(
            f"/fine_tune_model/{name}",
            params=QUESTIONS["fine_tune_parameters"],
            files={"train_dataset": ("train.csv", train), "eval_dataset": ("eval.csv", held)},
        )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def job_of(stack: Stack, name: str) -> str:
    """The job whose model is served under a name."""
    (found,) = (
        job["job_id"] for job in stack.client.get("/jobs").json()["jobs"] if job["model"] == name
    )
    return str(found)


def follow(stack: Stack, job_id: str) -> None:
    """Wait for a job to succeed."""
    stack.wait_until(
        lambda: stack.job(job_id)["status"] in {"succeeded", "failed", "trained"}, 600, job_id
    )
    job = stack.job(job_id)
    assert job["status"] == "succeeded", job


def all_is_there(stack: Stack) -> None:
    """The models answer, and so does the handbook, with a quote of the cited page."""
    names = stack.client.get("/list_models").json()["All Created Models"]
    assert {"demo", PERSONA, "tuned"} <= set(names)
    lesson = QUESTIONS["fine_tune"][0]
    assert lesson["value"] in stack.generate("tuned", lesson["question"])["message"]
    question = QUESTIONS["document_questions"][0]
    answer = stack.generate(PERSONA, question["question"], documents=["handbook"])
    assert question["value"] in answer["message"]
    pages = [page.extract_text() for page in PdfReader(EXAMPLES / "handbook.pdf").pages]
    assert any(question["value"] in pages[one["page"] - 1] for one in answer["citations"])


def test_the_main_job_runs_in_containers(stack: Stack) -> None:
    assert stack.client.get("/readyz").json()["status"] == "ready"
    lesson = QUESTIONS["fine_tune"][0]
    assert lesson["value"] not in stack.generate("demo", lesson["question"])["message"]
    all_is_there(stack)
    assert stack.doctor() == ""


def test_a_container_beside_it_may_call(stack: Stack) -> None:
    """As Open WebUI does."""
    asks = (
        "from urllib.request import urlopen; print(urlopen('http://fastapi:3000/v1/models').read())"
    )
    assert '"demo"' in stack.compose("exec", "--no-TTY", "worker", "python", "-c", asks)


def test_a_base_in_four_bits_with_the_adapter_of_a_job_answers_beside_it(stack: Stack) -> None:
    lesson = QUESTIONS["fine_tune"][0]
    usual = dict(stack.settings)
    stack.settings |= {
        "COMPOSE_PROFILES": "model-server",
        "MODEL_SERVER_KEY": "a-long-random-string",
        "MODEL_SERVER_BASE": "demo",
        "MODEL_SERVER_ADAPTER": f"/data/jobs/{job_of(stack, 'tuned')}/train/adapter",
    }
    try:
        stack.up()
        named = {
            "provider": "causal",
            "base_url": "http://model-server:8000/v1",
            "key": stack.settings["MODEL_SERVER_KEY"],
            "models": {"beside": "demo"},
        }
        created = stack.client.post("/backends/beside", json=named)
        assert created.status_code == 201, created.text
        for _ in ("first", "after the plug was pulled"):
            answer = stack.generate("beside", lesson["question"])
            assert lesson["value"] in answer["message"]
            assert answer["receipt"]["tokens"]["exact"]
            stack.kill("model-server")
            lost = stack.client.post(
                "/generate", json={"modelName": "beside", "user_prompt": lesson["question"]}
            )
            assert lost.status_code == 503, lost.text
            assert stack.client.get("/readyz").json()["status"] == "ready"
            stack.up()
        assert stack.client.delete("/backends/beside").status_code == 200
    finally:
        stack.compose("rm", "--stop", "--force", "model-server", check=False)
        stack.settings = usual
    all_is_there(stack)


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_lost_when_a_container_restarts(stack: Stack, service: str) -> None:
    stack.compose("restart", service)
    stack.up()
    all_is_there(stack)


def test_nothing_is_lost_by_down_and_up(stack: Stack) -> None:
    stack.compose("down")
    stack.up()
    all_is_there(stack)
    assert stack.doctor() == ""


@pytest.mark.parametrize("service", SERVICES)
def test_an_import_survives_the_plug(stack: Stack, service: str) -> None:
    name = f"long-{uuid.uuid4().hex[:6]}.pdf"
    answer = stack.client.post(
        "/importDocument",
        params={"modelName": PERSONA, "wait": "false"},
        files={"file": (name, long_document())},
    )
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]
    stack.wait_until(lambda: state_of(stack, where).get("pages_done", 0) > 0, 120, "no page done")
    stack.kill(service)
    stack.up()
    stack.wait_until(lambda: state_of(stack, where)["status"] in {"ready", "failed"}, 400, name)
    assert state_of(stack, where)["status"] == "ready", state_of(stack, where)
    all_is_there(stack)
    assert stack.doctor() == ""
    deleted = stack.client.delete(
        "/delete_document", params={"modelName": PERSONA, "document": name}
    )
    assert deleted.status_code == 200, deleted.text


def state_of(stack: Stack, where: str) -> dict[str, Any]:
    """A document as it is imported."""
    state: dict[str, Any] = stack.client.get(where).json()
    return state


def long_document() -> bytes:
    """Pages that take some seconds to import."""
    return pdf(*(f"Section {n}. " + f"The code of room {n} is {n * 37}. " * 30 for n in range(120)))


@pytest.mark.parametrize("service", SERVICES)
def test_an_answer_that_is_cut_off_is_followed_by_whole_ones(stack: Stack, service: str) -> None:
    started = threading.Event()

    def ask() -> None:
        body = {
            "modelName": "demo",
            "user_prompt": "Hello",
            "stream": True,
            "temperature": 4,  # it rambles on
            "seed": 1,
            "max_tokens": 3000,
        }
        with contextlib.suppress(httpx2.HTTPError, AssertionError):
            for _ in stack.events("POST", "/generate", json=body):
                started.set()
        started.set()

    asking = threading.Thread(target=ask)
    asking.start()
    assert started.wait(60)
    stack.kill(service)
    asking.join(120)
    assert not asking.is_alive()
    stack.up()
    all_is_there(stack)


@pytest.mark.parametrize("service", SERVICES)
def test_a_fine_tune_survives_the_plug(stack: Stack, service: str) -> None:
    name = f"tuned-{service}"
    job_id = fine_tune(stack, name)
    stack.wait_until(lambda: (stack.job(job_id)["progress"]["step"] or 0) > 3, 300, job_id)
    stack.kill(service)
    stack.up()
    follow(stack, job_id)
    lesson = QUESTIONS["fine_tune"][0]
    assert lesson["value"] in stack.generate(name, lesson["question"])["message"]
    assert stack.doctor() == ""
    assert stack.client.delete(f"/deleteModel/{name}").status_code == 200
