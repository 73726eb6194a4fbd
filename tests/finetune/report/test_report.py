"""What the page of a job says: all that its directory tells, and nothing that is not there."""

import json
import re
from pathlib import Path

import pytest

from finetune.job.directory import JobDirectory
from finetune.report.compared import compared
from finetune.report.drawing import bar, chart, ticks
from finetune.report.facts import MOST_POINTS, facts_of, thinned
from finetune.report.page import comparison_page, page
from finetune.report.writing import duration, figure, size, written
from tests.finetune.jobs import new_job
from tests.finetune.report.whole import JOB, whole_job


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return whole_job(tmp_path / "job_0123456789abcdef")


def test_the_facts_are_those_of_the_directory(job: JobDirectory) -> None:
    facts = facts_of(job)
    assert facts["model"] == "tuned"
    assert facts["settings"]["rank"] == {"value": 8, "chosen": True}
    assert facts["settings"]["bits"] == {"value": 4, "chosen": False}
    assert facts["training"]["losses"][0] == (1, 2.5)
    assert facts["training"]["held_out_losses"] == [(20, 0.5)]
    assert facts["judged"]["verdict"] == "better"
    assert facts["seconds"] == {"train": 754.2}
    assert {file["path"] for file in facts["files"]} == {"dataset/made.bin", "train/made.bin"}
    assert json.loads(json.dumps(facts))["id"] == job.id


def test_the_page_says_first_what_somebody_wants_to_know(job: JobDirectory) -> None:
    html = page(facts_of(job), JOB)
    said = re.findall(r'<li class="(\w+)">(.*?)</li>', html)
    assert said == [
        ("good", "The tuned model is better than its base."),
        ("good", "The loss on held-out rows fell from 2.5 to 0.5."),
        ("good", "The exported file speaks like the model that was trained."),
        ("good", "On the server 8 of 8 probes were answered as by the verified file."),
        ("fair", "1 warning on the way."),
    ]


def test_the_page_shows_every_part(job: JobDirectory) -> None:
    html = page(facts_of(job), JOB)
    sections = re.findall(r'<section id="(\w+)">', html)
    assert sections == ["judged", "data", "training", "verified", "warnings", "settings", "origin"]
    for text in ("duplicate", "<mark>Arr.&lt;/s&gt;</mark>", "13 min", "1.0 GiB", "torch 2.13.0"):
        assert text in html
    assert html.count('<article class="answer">') == 10
    assert "too few rows" in html
    rows = re.findall(
        r'<tr><td>(.*?)</td><td class="number">(.*?)</td><td class="number">(.*?)</td></tr>', html
    )
    assert ("RAM, train", "1.0 GiB", "1.5 GiB") in rows
    assert ("Time, train", "12 min", "13 min") in rows


def test_what_rows_say_is_text_and_nothing_comes_from_elsewhere(job: JobDirectory) -> None:
    html = page(facts_of(job), JOB)
    assert "Who &lt;b&gt;are&lt;/b&gt; you?" in html
    assert not re.search(r"<script|<link|src=|@import|url\(|https?://", html)


def test_a_job_that_has_only_begun_has_a_page_too(tmp_path: Path) -> None:
    html = page(facts_of(new_job(tmp_path / "job")), {"status": "queued"})
    assert "Fine-tuned from demo" in html
    assert 'id="judged"' not in html


def test_a_refused_and_a_failed_job_say_so_first(job: JobDirectory) -> None:
    refusal = {
        "file": "quantize/model.gguf",
        "title": "Another model",
        "detail": "Token 3 differs.",
    }
    (job.path / "verify" / "report.json").write_text(
        json.dumps({"files": {}, "refused": [refusal]})
    )
    error = {"title": "Not published", "detail": "The runtime is away."}
    said = re.findall(r'<li class="bad">(.*?)</li>', page(facts_of(job), {**JOB, "error": error}))
    assert said == ["Not published: The runtime is away.", "Another model: Token 3 differs."]


def test_a_damaged_specification_leaves_the_rest(job: JobDirectory) -> None:
    job.spec_path.write_text("{")
    facts = facts_of(job)
    assert facts["settings"] == {}
    assert "mlflow" in page(facts)


def test_a_long_curve_is_drawn_by_the_means_of_its_parts() -> None:
    curve = [(step, float(step % 2)) for step in range(1, 10_001)]
    thin = thinned(curve)
    assert len(thin) == MOST_POINTS
    assert thin[-1][0] == 10_000
    assert all(0.4 < value < 0.6 for _, value in thin)
    assert thinned(curve[:5]) == curve[:5]


def test_jobs_side_by_side_show_where_they_differ_and_which_is_best(tmp_path: Path) -> None:
    jobs = [whole_job(tmp_path / f"job_{number}") for number in range(2)]
    facts = [facts_of(job) for job in jobs]
    facts[1]["settings"]["rank"]["value"] = 16
    facts[1]["training"]["eval_loss"] = 0.4
    found = compared(facts)
    assert found["differences"] == {"rank": [8, 16]}
    assert found["best"] == "job_1"
    html = comparison_page(found)
    assert "The lowest loss on the same held-out rows has job_1" in html
    facts[1]["files"].append({"path": "dataset/eval.jsonl", "sha256": "0" * 64})
    assert compared(facts)["best"] is None, "other rows, other losses"


def test_ticks_are_round_and_reach_the_end() -> None:
    assert ticks(0, 9.3) == [0, 2, 4, 6, 8, 10]
    assert ticks(0, 0.07)[:3] == [0, 0.02, 0.04]
    assert chart({"training": []}) is None
    drawn = chart({"training": [(1, 2.0), (2, float("nan"))]})
    assert drawn is not None
    assert len(drawn.dots["training"]) == 1


def test_an_interval_is_drawn_around_the_middle() -> None:
    assert bar(0.0, -0.5, 0.5, 1.0).mean == 50
    assert (bar(1.0, 0.5, 1.5, 2.0).low, bar(1.0, 0.5, 1.5, 2.0).width) == (62.5, 25)
    assert bar(1.0, None, None, 2.0).width == 0


def test_numbers_are_written_as_people_read_them() -> None:
    assert [figure(value) for value in (None, 0.012345, 1234.5, 7, "Q8_0")] == [
        "",
        "0.0123",
        "1,234",
        "7",
        "Q8_0",
    ]
    assert [duration(value) for value in (3.21, 61, 7261)] == ["3.2 s", "1 min", "2 h 1 min"]
    assert [size(value) for value in (12, 2048, 3 * 2**30)] == ["12 B", "2.0 KiB", "3.0 GiB"]
    assert [written(value) for value in (None, True, "best", [1])] == [
        "not set",
        "true",
        "best",
        "[1]",
    ]
