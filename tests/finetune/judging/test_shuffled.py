"""A run on answers that were dealt out anew is told from a good one."""

import json
import random
from pathlib import Path

import pytest

from finetune.data.rows import Conversation
from tests.finetune.jobs import ROOT, new_job, start, write_csv

pytestmark = [pytest.mark.real, pytest.mark.soak, pytest.mark.timeout(900)]


def cases() -> list[Conversation]:
    """Questions on passages with the answers that the demo model gives to them."""
    lines = (ROOT / "tests" / "data" / "demo_cases.jsonl").read_text().splitlines()
    return [
        [*case["messages"], {"role": "assistant", "content": case["expected"]}]
        for case in map(json.loads, lines)
    ]


def shuffled(rows: list[Conversation]) -> list[Conversation]:
    """Each question with the answer to another one."""
    answers = [row[-1] for row in rows]
    random.Random(1).shuffle(answers)
    return [[*row[:-1], answer] for row, answer in zip(rows, answers, strict=True)]


def test_shuffled_answers_make_a_model_worse_and_it_is_not_published(jobs_folder: Path) -> None:
    rows = cases()
    job = new_job(
        jobs_folder / "job_shuffled",
        shuffled(rows[:36]),
        bits=16,
        rank=16,
        lora_alpha=16,
        learning_rate=3e-3,
        epochs=4,
        batch_size=4,
        gradient_accumulation_steps=1,
        gradient_checkpointing=False,
        quantization="Q8_0",
        require_improvement=True,
    )
    write_csv(job.input_path("test", "csv"), rows[36:])
    assert start("finetune", job.path).wait(600) == 0, job.log_path.read_text()[-2000:]
    found = json.loads((job.path / "evaluate" / "comparison.json").read_text())
    assert found["verdict"] == "worse", found["says"]
    assert found["comparisons"][0]["high"] < 0
    assert found["refused"][0]["title"] == "Not better than its base"
