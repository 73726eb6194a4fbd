"""Good runs of every method, with three seeds and in every type: none is refused; what they differ by is printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from finetune.job import verified
from finetune.job.directory import JobDirectory
from finetune.job.parameters.exporting import Quantization
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import PATIENCE_SECONDS, new_job, start

pytestmark = [pytest.mark.soak, pytest.mark.real, pytest.mark.timeout(900)]

LEARNING: dict[str, dict[str, object]] = {
    "sft": {"learning_rate": 2e-3},
    "sft in 4 bits": {"learning_rate": 2e-3, "bits": 4},
    "sft, hardly learned": {"learning_rate": 1e-4, "epochs": 1},
    "dora": {"learning_rate": 2e-3, "adapter": "dora"},
    "rslora": {"learning_rate": 1e-3, "adapter": "rslora"},
    "full": {"learning_rate": 5e-4, "adapter": "full"},
    "pretrain": {"learning_rate": 2e-3, "method": "pretrain"},
    "dpo": {"learning_rate": 2e-3, "method": "dpo"},
}
COMMON: dict[str, object] = {
    "bits": 16,
    "rank": 16,
    "lora_alpha": 16,
    "batch_size": 4,
    "gradient_accumulation_steps": 1,
    "epochs": 3,
    "max_length": 128,
    "gradient_checkpointing": False,
    "compare_rows": 0,
    "quantization": list(get_args(Quantization)),
}
FIGURES = ("largest", "mean", "equal_first", "loss_above_f16")


def lines(method: object) -> Iterator[dict[str, Any]]:
    """Rows as the method takes them."""
    for question, answer in question_rows():
        if method == "pretrain":
            yield {"text": f"{question['content']} {answer['content']} " * 4}
        elif method == "dpo":
            wanted = {"chosen": answer["content"], "rejected": "I do not know."}
            yield {"prompt": question["content"], **wanted}
        else:
            yield {"messages": [question, answer]}


def trained(folder: Path, name: str, seed: int) -> JobDirectory:
    """A job, brought to its end."""
    parameters = COMMON | LEARNING[name] | {"seed": seed}
    job = new_job(folder, (), **parameters)
    path = job.input_path("train", "jsonl")
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, lines(parameters.get("method")))))
    start("finetune", job.path).wait(PATIENCE_SECONDS)
    return job


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", LEARNING)
def test_a_good_run_is_not_refused(jobs_folder: Path, name: str, seed: int) -> None:
    job = trained(jobs_folder / f"job_{name.replace(' ', '_')}_{seed}", name, seed)
    assert job.outcome() == {"result": "trained", "error": None}
    report = verified.report_of(job)
    for found in report["files"].values():
        figures = " ".join(f"{found.get(figure, '-')!s:>9}" for figure in FIGURES)
        print(f"{name:20} {seed} {found['type']:7} {figures}")  # noqa: T201  the table of the run
    assert len(report["files"]) == 1 + len(get_args(Quantization))
    assert report["refused"] == []
