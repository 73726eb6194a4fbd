"""A job's directory in which every stage has left what it leaves, for the page that shows it."""

import json
from pathlib import Path
from typing import Any

from finetune.job.directory import JobDirectory
from tests.finetune.jobs import new_job

JOB: dict[str, Any] = {
    "status": "succeeded",
    "ended_at": "2026-11-27T12:00:00+00:00",
    "gate": {"passed": True, "probes": 8, "texts_equal": 8, "prompt_tokens_equal": 8},
}
JUDGED: dict[str, Any] = {
    "verdict": "better",
    "says": "The tuned model is better than its base.",
    "comparisons": [
        {
            "name": "loss an answer token",
            "base": 2.3,
            "tuned": 1.1,
            "mean": 1.2,
            "low": 0.9,
            "high": 1.5,
            "verdict": "better",
            "rows": 40,
            "win": 38,
            "tie": 0,
            "loss": 2,
        },
        {
            "name": "exact",
            "base": 0.0,
            "tuned": 0.5,
            "mean": 0.5,
            "low": None,
            "high": None,
            "verdict": "cannot tell",
            "rows": 4,
        },
    ],
    "answers": [
        {"question": "Who <b>are</b> you?", "right": "Arr.", "base": "I am.", "tuned": "Arr."}
    ]
    * 12,
}
LINT: dict[str, Any] = {
    "findings": [
        {
            "code": "duplicate",
            "severity": "warning",
            "fold": "train",
            "count": 3,
            "rows": [1, 2, 3],
            "detail": "The same conversation more than once.",
            "remedy": "Leave one of each.",
        }
    ],
    "samples": [
        {
            "row": 1,
            "tokens": 12,
            "pieces": [
                {"text": "<|user|>Hi\n<|assistant|>", "learned": False},
                {"text": "Arr.</s>", "learned": True},
            ],
        }
    ],
}
PREDICTED: dict[str, Any] = {
    "predicted": {"figures": {"disk": 2**30}},
    "counted": {"figures": {"ram.train": 2**30, "seconds.train": 700.0, "disk": 3 * 2**30}},
    "real": {"figures": {"ram.train": 1.5 * 2**30, "seconds.train": 754.2}},
}
VERIFIED: dict[str, Any] = {
    "texts": 60,
    "prompts": 32,
    "refused": [],
    "files": {
        "convert/model-f16.gguf": {
            "mean": 0.0005,
            "largest": 0.008,
            "equal_first": 1.0,
            "loss": 1.2,
        },
        "quantize/model.gguf": {"mean": 0.031, "largest": 0.2, "equal_first": 0.98, "loss": 1.23},
    },
}


def whole_job(folder: Path) -> JobDirectory:
    """A job that went through everything, with a loss that falls."""
    job = new_job(folder, rank=8, learning_rate=5e-3)
    left: dict[str, dict[str, Any]] = {
        "dataset": {"rows": 380, "eval_rows": 20, "tokens": 12_345, "longest": 99},
        "train": {
            "steps": 30,
            "eval_loss_before": 2.5,
            "eval_loss": 0.5,
            "checkpoint": 20,
            "peak_memory_bytes": 2**30,
            "versions": {"torch": "2.13.0"},
        },
    }
    for stage, facts in left.items():
        path = job.stage(stage).path / "made.bin"
        path.write_bytes(b"made")
        job.stage(stage).mark_done([path], **facts)
    (job.path / "train" / "kept.json").write_text(json.dumps([{"step": 20, "eval_loss": 0.5}]))
    for place, content in {
        "preflight.json": PREDICTED,
        "dataset/lint.json": LINT,
        "verify/report.json": VERIFIED,
        "evaluate/comparison.json": JUDGED,
    }.items():
        path = job.path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    for step in range(1, 31):
        job.append_event("train", "progress", step=step, steps=30, loss=2.5 / step)
    job.append_event("train", "progress", step=20, steps=30, eval_loss=0.5)
    job.append_event("train", "warning", kind="tracker", detail="mlflow takes no more figures.")
    job.append_event("train", "stage_done", seconds=754.2)
    return job
