"""Base and tuned model side by side, on the real demo model and a real fine-tune of it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from finetune.data.rows import Chat, Conversation, Preference, Row, Text, write_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory
from finetune.job.spec import parse_spec
from finetune.job.verified import refusals_of
from finetune.judging.canary import ITEMS
from finetune.stages.evaluate import evaluate
from tests.finetune.conftest import ANSWER, QUESTIONS, Life, copied
from tests.finetune.jobs import DEMO_MODEL, ROOT, events

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

UNSEEN = ("Camelot", "Oz", "Wonderland", "Gondor")


def pirates() -> list[Conversation]:
    """Twenty questions about countries that were never trained on, with the answer that was learned."""
    return [
        [
            {"role": "user", "content": question.format(country)},
            {"role": "assistant", "content": ANSWER},
        ]
        for country in UNSEEN
        for question in QUESTIONS
    ]


def known_to_the_base() -> list[Conversation]:
    """What the demo model was made for: questions on passages, and the answers it gives to them."""
    cases = (ROOT / "tests" / "data" / "demo_cases.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in cases[:12]]
    return [
        [*case["messages"], {"role": "assistant", "content": case["expected"]}] for case in found
    ]


def judged(
    life: Life, folder: Path, rows: Sequence[Conversation | Row], **parameters: Any
) -> tuple[JobDirectory, dict[str, Any]]:
    """The life's job on these test rows: the folder again, and the comparison."""
    job = copied(life.job, folder)
    shutil.rmtree(job.path / "evaluate", ignore_errors=True)
    spec = parse_spec(job.spec_path.read_bytes()).model_copy(update=parameters)
    job.spec_path.write_text(spec.model_dump_json())
    made: list[Row] = [
        Chat(number, row) if isinstance(row, list) else row for number, row in enumerate(rows, 1)
    ]
    write_rows(job.path / "dataset" / "test.jsonl", made)
    assert stage.main("evaluate", evaluate, [str(job.path)]) == 0, events(job, "failed")
    return job, json.loads((job.path / "evaluate" / "comparison.json").read_text())


def test_a_good_run_is_better_with_an_interval_above_zero(life: Life, jobs_folder: Path) -> None:
    job, found = judged(life, jobs_folder / "job_good", pirates(), require_improvement=True)
    assert found["verdict"] == "better"
    loss, metric, skills = found["comparisons"]
    assert loss["low"] > 0
    assert (loss["rows"], loss["win"], loss["loss"]) == (20, 20, 0)
    assert loss["base"] > loss["tuned"]
    assert (metric["name"], metric["base"], metric["verdict"]) == ("exact", 0, "better")
    assert found["says"].startswith("The tuned model is better than its base on 20 held-out rows")
    assert len(found["answers"]) == 10
    assert found["answers"][0]["tuned"] == ANSWER
    assert found["held_out"] == {"rows": 20, "of": "test", "most": 100}
    assert (skills["rows"], found["refused"]) == (len(ITEMS), [])
    assert refusals_of(job) == []


def test_what_the_base_did_better_makes_it_worse_and_refuses_it_on_wish(
    life: Life, jobs_folder: Path
) -> None:
    job, found = judged(
        life, jobs_folder / "job_worse", known_to_the_base(), require_improvement=True
    )
    assert found["verdict"] == "worse", found["says"]
    assert found["comparisons"][0]["high"] < 0
    (refusal,) = refusals_of(job)
    assert (refusal.stage, refusal.title) == ("evaluate", "Not better than its base")
    assert "is worse than its base" in refusal.detail


def test_a_base_against_itself_is_a_tie(life: Life, jobs_folder: Path) -> None:
    kept = next((jobs_folder / ".bases").glob("*-Q4_K_M.gguf"))
    quantized = life.job.gguf_path.read_bytes()
    life.job.gguf_path.write_bytes(kept.read_bytes())
    try:
        _, found = judged(life, jobs_folder / "job_tie", pirates()[:6], metric="f1")
    finally:
        life.job.gguf_path.write_bytes(quantized)
    assert (found["verdict"], found["decided_by"]) == ("no difference shown", "f1")
    loss, metric, skills = found["comparisons"]
    assert (loss["mean"], loss["tie"]) == (0, 6)
    assert metric["low"] < 0 < metric["high"]
    assert skills["base"] == skills["tuned"]


def test_texts_are_judged_by_loss_alone_and_preferences_by_the_wanted_answer(
    life: Life, jobs_folder: Path
) -> None:
    question, wanted = pirates()[0]
    other = {"role": "assistant", "content": "I do not know."}
    rows: list[Row] = [Text(number, "Arr, that be a secret. Arr!") for number in range(5)]
    rows.append(Preference(6, [question], [wanted], [other]))
    _, found = judged(life, jobs_folder / "job_kinds", rows)
    loss, metric, _ = found["comparisons"]
    assert (loss["rows"], metric["rows"], metric["verdict"]) == (6, 1, "cannot tell")
    (shown,) = found["answers"]
    assert (shown["right"], shown["tuned"]) == (ANSWER, ANSWER)


def test_the_pipeline_compares_and_too_few_rows_cannot_tell(life: Life) -> None:
    found = json.loads((life.job.path / "evaluate" / "comparison.json").read_text())
    assert found["verdict"] == "cannot tell"
    loss = found["comparisons"][0]
    assert (loss["rows"], loss["low"], loss["high"]) == (2, None, None)
    assert loss["tuned"] < loss["base"]
    assert "2 held-out rows are too few" in found["says"]
    (event,) = events(life.job, "compared")
    assert event.fields["verdict"] == "cannot tell"


def test_the_base_is_made_once_and_kept_beside_the_jobs(life: Life, jobs_folder: Path) -> None:
    kept = {path.name for path in (jobs_folder / ".bases").iterdir()}  # other jobs' types too
    mark = stage.fingerprint(DEMO_MODEL)
    assert kept >= {f"{mark}-Q4_K_M.gguf", f"{mark}.json"}
    assert ".making" not in kept
