"""Evaluations over HTTP: which lever helps, waiting, going on after a restart, calling off, and what is refused."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.data_folder.shelf import Shelf
from api.errors import BackEndFailed
from api.runtime.training import Training
from finetune.data.folds import path_of
from finetune.data.rows import Chat, Fold, write_rows
from tests.evaluation.conftest import asked, begun, prepare, start, until
from tests.service import Service, open_service

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def lever(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [one for one in found["result"]["levers"] if one["lever"] == name]
    return dict(one)


def test_it_says_with_intervals_which_lever_helped_and_what_it_cost(towers: Service) -> None:
    start(towers)
    id = begun(towers, documents="*", metric="exact")
    found = until(towers, id)
    assert found["status"] == "succeeded", found
    assert (found["model"], found["base_model"]) == ("ada", "demo")
    result = found["result"]
    scores = {arm: one["score"] for arm, one in result["arms"].items()}
    assert scores == {"base": 0, "base_documents": 1, "tuned": 0.5, "tuned_documents": 1}
    documents, tuning = lever(found, "documents"), lever(found, "tuning")
    assert documents["low"] > 0
    assert (documents["verdict"], documents["win"], documents["rows"]) == ("better", 12, 12)
    assert (tuning["verdict"], tuning["win"], tuning["tie"]) == ("better", 6, 6)
    assert lever(found, "tuning rather than documents")["verdict"] == "worse"
    assert lever(found, "tuning, where there are documents")["verdict"] == "no difference shown"
    assert "Helped: tuning (+0.50" in result["says"]
    arms = result["arms"]
    assert arms["base_documents"]["prompt_tokens"] > arms["base"]["prompt_tokens"] > 0
    assert arms["base"]["seconds"] >= 0
    assert len(result["answers"]) == 10
    shown = result["answers"][0]
    assert shown["right"] == "It is 10 metres high."
    assert shown["base_documents"]["answer"].startswith("It is 10 metres high [")
    assert shown["tuned"] == {"answer": "I do not know.", "score": 0}
    assert found["progress"] == {"done": 48, "of": 48, "eta_seconds": None}


def test_without_documents_two_are_asked_and_a_few_questions_cannot_tell(towers: Service) -> None:
    start(towers)
    found = until(towers, begun(towers, count=3))
    assert set(found["result"]["arms"]) == {"base", "tuned"}
    (tuning,) = found["result"]["levers"]
    assert (tuning["low"], tuning["high"], tuning["verdict"]) == (None, None, "cannot tell")
    assert found["result"]["says"].startswith("3 questions tell nothing for sure")


def test_a_model_against_itself_is_a_tie(towers: Service) -> None:
    start(towers)
    found = until(towers, begun(towers, baseModel="ada"))
    (tuning,) = found["result"]["levers"]
    assert (tuning["verdict"], tuning["tie"]) == ("no difference shown", 12)


def test_it_waits_while_a_job_has_the_device_to_itself(towers: Service) -> None:
    towers.runtime.device = "gpu"
    ends_at = datetime.now(UTC) + timedelta(seconds=1)
    towers.runtime.reserve([Training("job_0123456789abcdef", "gpu", ends_at)])
    start(towers)
    id = begun(towers, count=2)
    deadline = time.monotonic() + 60
    while not (waiting := towers.client.get(f"/evaluations/{id}").json())["waits_for"]:
        assert time.monotonic() < deadline
    assert (waiting["status"], waiting["progress"]["done"]) == ("running", 0)
    assert "job_0123456789abcdef" in waiting["waits_for"]
    towers.runtime.reserve([])
    found = until(towers, id)
    assert (found["status"], found["waits_for"]) == ("succeeded", None)


def test_after_a_restart_it_goes_on_where_it_was(tmp_path: Path) -> None:
    with open_service(tmp_path) as service:
        prepare(service)
        service.runtime.delay_seconds = 0.02
        start(service)
        id, next_id = begun(service), begun(service, count=2)
        while (first := service.client.get(f"/evaluations/{id}").json())["progress"]["done"] < 4:
            time.sleep(0.01)
        assert first["progress"]["eta_seconds"] > 0
    answers = tmp_path / "evaluations" / id / "answers.jsonl"
    before = answers.read_text().splitlines()
    with answers.open("a") as file:
        file.write('{"arm": "base", "quest')  # a process that was killed
    with open_service(tmp_path) as service:
        prepare(service)
        assert service.client.get(f"/evaluations/{id}").json()["status"] == "running"
        start(service)
        found = until(service, id)
        assert found["status"] == "succeeded", found
        assert until(service, next_id)["status"] == "succeeded"
        asked_now = [
            call for call in service.runtime.history if "How high" in call.messages[-1].content
        ]
    lines = answers.read_text().splitlines()
    assert lines[: len(before)] == before
    assert len(lines) == 24
    assert len(asked_now) == 24 - len(before) + 4


def test_it_is_listed_called_off_and_deleted(towers: Service) -> None:
    client = towers.client
    first, second = begun(towers), begun(towers, count=2)
    listed = client.get("/evaluations?limit=1").json()
    assert [one["evaluation_id"] for one in listed["evaluations"]] == [second]
    assert listed["has_more"] is True
    rest = client.get(f"/evaluations?after={second}").json()
    assert [one["evaluation_id"] for one in rest["evaluations"]] == [first]
    assert client.delete(f"/evaluations/{first}").status_code == 409
    assert client.post(f"/evaluations/{first}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/evaluations/{first}/cancel").status_code == 409
    towers.runtime.delay_seconds = 0.2
    start(towers)
    until(towers, second, ["running"])
    assert client.post(f"/evaluations/{second}/cancel").json()["status"] == "cancelled"
    third = begun(towers, count=2)
    towers.runtime.delay_seconds = 0
    assert until(towers, third)["status"] == "succeeded"
    for id in (first, second, third):
        assert client.delete(f"/evaluations/{id}").status_code == 200
        assert client.get(f"/evaluations/{id}").status_code == 404
    assert client.get("/evaluations").json() == {"evaluations": [], "has_more": False}


def test_what_cannot_be_asked_is_refused_and_nothing_is_kept(towers: Service) -> None:
    refusals: list[tuple[dict[str, Any], int, str]] = [
        ({"modelName": "nobody"}, 404, "nobody"),
        ({"modelName": "demo"}, 422, "base model itself"),
        ({"baseModel": "nobody"}, 404, "nobody"),
        ({"collection": "nowhere"}, 404, "nowhere"),
        ({"documents": "nothing"}, 404, "nothing"),
        ({"metric": "regex"}, 422, "metric_pattern"),
        ({"metric": "bleu"}, 422, "exact"),
    ]
    for parameters, status, said in refusals:
        answer = asked(towers, **parameters)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
    answer = towers.client.post(
        "/evaluations?modelName=ada", files={"questions": ("a.csv", b"\x89PNG\r\n\x1a\n" * 20)}
    )
    assert answer.status_code in (415, 422), answer.text
    assert towers.client.get("/evaluations").json()["evaluations"] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", b"question,answer\nHow high is Tower A?,It is 10 metres high.\n"),
        ("q.jsonl", b'{"prompt": "How high is Tower A?", "completion": "It is 10 metres high."}\n'),
    ],
)
def test_questions_come_in_any_form_of_a_dataset(
    towers: Service, name: str, content: bytes
) -> None:
    start(towers)
    sent = {"questions": (name, content)}
    answer = towers.client.post("/evaluations?modelName=ada&documents=*", files=sent)
    found = until(towers, answer.json()["evaluation_id"])
    assert found["result"]["arms"]["base_documents"]["score"] == 1
    shown = found["result"]["answers"][0]
    assert (shown["question"], shown["right"]) == ("How high is Tower A?", "It is 10 metres high.")


@pytest.mark.parametrize(("folds", "asked_of"), [(("train", "test"), 1), (("train",), 2)])
def test_the_test_rows_of_a_dataset_are_asked_or_all_of_them(
    towers: Service, tmp_path: Path, folds: tuple[Fold, ...], asked_of: int
) -> None:
    shelf = Shelf(tmp_path / "datasets", "ds", "dataset")
    id = shelf.new_id()
    counts: dict[Fold, int] = {"train": 2, "test": 1}
    with shelf.growing(id) as folder:
        for fold in folds:
            rows = [Chat(number, CHAT) for number in range(counts[fold])]
            write_rows(path_of(folder, fold), rows)
        shelf.place(folder, id, {})
    start(towers)
    answer = towers.client.post("/evaluations", params={"modelName": "ada", "questions": id})
    assert answer.status_code == 202, answer.text
    assert until(towers, answer.json()["evaluation_id"])["questions"] == asked_of
    missing = {"modelName": "ada", "questions": "ds_0000000000000000"}
    assert towers.client.post("/evaluations", params=missing).status_code == 404


def test_texts_and_calls_of_tools_are_no_questions(towers: Service) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
    ]
    for content, said in (
        (json.dumps({"text": "A text."}), "texts"),
        (json.dumps({"messages": turns}), "Row 1"),
    ):
        sent = {"questions": ("q.jsonl", content.encode())}
        answer = towers.client.post("/evaluations?modelName=ada", files=sent)
        assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text


def test_a_question_without_an_answer_counts_as_wrong_and_a_dead_back_end_ends_it(
    towers: Service,
) -> None:
    gone = BackEndFailed("The model has crashed.")
    towers.runtime.will_answer(gone)
    start(towers)
    found = until(towers, begun(towers, baseModel="ada", metric="exact"))
    arms = found["result"]["arms"]
    assert (arms["base"]["without_answer"], arms["tuned"]["without_answer"]) == (1, 0)
    towers.runtime.will_answer(gone, gone, gone)
    found = until(towers, begun(towers))
    assert (found["status"], found["error"]["detail"]) == ("failed", "The model has crashed.")
    assert found["result"] is None


def test_a_pattern_without_an_end_ends_the_evaluation_and_nothing_else(
    towers: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    towers.runtime.rule = lambda _: "a" * 40
    start(towers)
    with monkeypatch.context() as patch:
        patch.setattr("finetune.judging.scoring.PATTERN_SECONDS", 0.5)
        found = until(towers, begun(towers, count=1, metric="regex", metric_pattern="(a+)+$x"))
    assert found["status"] == "failed"
    assert "metric_pattern" in found["error"]["detail"]
    found = until(towers, begun(towers, count=1, metric="regex", metric_pattern="a+"))
    assert found["status"] == "succeeded"
