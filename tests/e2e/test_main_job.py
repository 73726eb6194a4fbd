"""The main job over a real server: persona, document, cited answer, fine-tune, tuned answer."""

import csv
import json
from pathlib import Path

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob
from pypdf import PdfReader

from tests.e2e.conftest import ROOT, Server

EXAMPLES = ROOT / "examples"
QUESTIONS = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ada(running: Server) -> Server:
    """A server with a persona that has the handbook."""
    created = running.client.post(
        "/createModel/ada",
        params={"baseModel": "demo", "system": QUESTIONS["persona"]["system"]},
    )
    assert created.status_code == 201, created.text
    with (EXAMPLES / "handbook.pdf").open("rb") as file:
        imported = running.client.post(
            "/importDocument", params={"modelName": "ada"}, files={"file": ("handbook.pdf", file)}
        )
    assert imported.status_code == 201, imported.text
    return running


def test_a_persona_answers_from_a_document_with_page_citations(ada: Server) -> None:
    listed = ada.client.get("/list_documents/", params={"modelName": "ada"}).json()
    assert listed["Imported Documents for ada"] == ["handbook"]
    pages = [page.extract_text() for page in PdfReader(EXAMPLES / "handbook.pdf").pages]

    for question in QUESTIONS["document_questions"][:3]:
        answer = ada.client.post(
            "/generate",
            json={
                "modelName": "ada",
                "user_prompt": question["question"],
                "documents": ["handbook"],
            },
        ).json()
        assert question["value"] in answer["message"]
        cited = [citation["page"] for citation in answer["citations"]]
        assert any(question["value"] in pages[page - 1] for page in cited)
        for citation in answer["citations"]:
            quote = " ".join(citation["quote"].split())
            assert quote in " ".join(pages[citation["page"] - 1].split())
        assert answer["receipt"]["queries"]
        assert answer["receipt"]["relevance"] > 0.5

    refused = ada.client.post(
        "/generate",
        json={
            "modelName": "ada",
            "user_prompt": QUESTIONS["unanswerable"][0],
            "documents": ["handbook.pdf"],
        },
    ).json()
    assert refused["citations"] == []
    assert refused["receipt"]["relevance"] < 0.5


def test_the_stream_is_the_whole_answer_in_pieces(ada: Server) -> None:
    body = {
        "modelName": "ada",
        "user_prompt": QUESTIONS["document_questions"][0]["question"],
        "documents": ["handbook"],
        "temperature": 0,
    }
    whole = ada.client.post("/generate", json=body).json()
    events = ada.events("POST", "/generate", json={**body, "stream": True})

    kinds = list(dict.fromkeys(kind for kind, _ in events))
    assert kinds == ["token", "citation", "receipt", "done"]
    assert "".join(data["text"] for kind, data in events if kind == "token") == whole["message"]
    assert [data for kind, data in events if kind == "citation"] == whole["citations"]


@pytest.mark.timeout(900)
def test_a_fine_tune_by_the_openai_sdk_learns_what_its_base_did_not_know(running: Server) -> None:
    server = running
    models_before = server.client.get("/list_models").json()["All Created Models"]
    question = QUESTIONS["fine_tune"][0]
    ask = {"user_prompt": question["question"], "temperature": 0}
    before = server.client.post("/generate", json={"modelName": "demo", **ask}).json()
    assert question["value"] not in before["message"]

    url = f"{str(server.client.base_url).rstrip('/')}/v1"
    with openai.OpenAI(
        base_url=url, api_key="none", max_retries=0, _strict_response_validation=True
    ) as sdk:
        job = _fine_tuned(sdk)
        events = server.events("GET", f"/jobs/{job.id}/events", timeout=880)
        assert {"stage_started", "progress", "stage_done"} <= {kind for kind, _ in events}
        job = sdk.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", (job, server.log())
        assert job.trained_tokens
        assert job.fine_tuned_model
        told = list(sdk.fine_tuning.jobs.list_events(job.id))
        assert told[0].message == "The fine-tuned model has been created"
        assert len(told) == len([kind for kind, _ in events if kind != "status"])
        assert any(event.type == "metrics" for event in told)
        kept = sdk.fine_tuning.jobs.checkpoints.list(job.id).data
        assert all(one.metrics.train_loss and one.metrics.valid_loss for one in kept)
        assert [one.fine_tuned_model_checkpoint for one in kept].count(job.fine_tuned_model) == 1
        answer = sdk.chat.completions.create(
            model=job.fine_tuned_model,
            messages=[{"role": "user", "content": question["question"]}],
            temperature=0,
        )
        assert question["value"] in (answer.choices[0].message.content or "")

    after = server.client.post("/generate", json={"modelName": "tuned", **ask}).json()
    assert question["value"] in after["message"]
    models = server.client.get("/list_models", params={"details": "true"}).json()
    assert models["All Created Models"] == [*models_before, "tuned"]
    tuned = next(model for model in models["models"] if model["name"] == "tuned")
    assert (tuned["kind"], tuned["base"]) == ("fine-tune", "demo")
    assert server.client.delete("/deleteModel/tuned").status_code == 200
    assert server.client.get("/list_models").json()["All Created Models"] == models_before


def _fine_tuned(sdk: openai.OpenAI) -> FineTuningJob:
    """A job over the example's rows as JSON Lines, with the default of four bits."""
    ids = [
        sdk.files.create(file=(f"{name}.jsonl", _json_lines(name)), purpose="fine-tune").id
        for name in ("train", "eval")
    ]
    chosen = {**QUESTIONS["fine_tune_parameters"], "bits": 4}
    return sdk.fine_tuning.jobs.create(
        model="demo",
        training_file=ids[0],
        validation_file=ids[1],
        suffix="tuned",
        extra_body={"hyperparameters": chosen},
    )


def _json_lines(name: str) -> bytes:
    with (EXAMPLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return b"".join(
            json.dumps({"messages": json.loads(row["messages"])}).encode() + b"\n"
            for row in csv.DictReader(file)
        )


def test_everything_of_a_document_goes_with_it(ada: Server) -> None:
    deleted = ada.client.delete(
        "/delete_document", params={"modelName": "ada", "document": "handbook"}
    )
    assert deleted.status_code == 200
    listed = ada.client.get("/list_documents", params={"modelName": "ada"}).json()
    assert listed["Imported Documents for ada"] == []
    missing = ada.client.post(
        "/generate", json={"modelName": "ada", "user_prompt": "x?", "documents": ["handbook"]}
    )
    assert missing.status_code == 404
    assert ada.stop() == 0
    assert not list((ada.data_dir / "documents").glob("*.pdf"))
    assert Path(ada.data_dir / "uploads").exists()
