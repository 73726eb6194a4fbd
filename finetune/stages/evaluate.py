"""Stage `evaluate`: base and tuned model side by side on rows that neither training nor the choice of a checkpoint saw.

Both are GGUF files of the same type and read the same prompts; one of them is in memory at a time. What cannot be
compared is said, and ends no job.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune.data.rows import Row, read_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import write_atomically
from finetune.job.kept_bases import kept_base
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.job.verified import Refusal, report_of
from finetune.judging.comparing import compared
from finetune.judging.metrics import NotAPattern
from finetune.judging.sides import Asked, Side, asked_of, judge_side
from finetune.preflight.base import read_base
from finetune.preflight.room import require_disk
from finetune.stages.convert import to_gguf
from finetune.stages.quantize import quantize_file
from finetune.tokenizer import load_tokenizer

PROGRESS_SECONDS = 1.0


def held_out(data: Path, most: int, seed: int) -> tuple[list[Row], int, str]:
    """At most so many rows, how many there are, and whether they are of `test` or, without any there, of `eval`."""
    for name in ("test", "eval"):
        path = data / f"{name}.jsonl"
        count = sum(1 for _ in read_rows(path)) if path.is_file() else 0
        if count:
            places = set(random.Random(seed).sample(range(count), min(most, count)))  # noqa: S311  no secret
            rows = [row for place, row in enumerate(read_rows(path)) if place in places]
            return rows, count, name
    return [], 0, "eval"


class _Told:
    """Says how far the comparison is, about once a second."""

    def __init__(self, job: JobDirectory, steps: int) -> None:
        self._job = job
        self._steps = steps
        self._step = 0
        self._told_at = time.monotonic()

    def step(self) -> None:
        """One thing more was asked."""
        self._step += 1
        if time.monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._job.append_event("evaluate", "progress", step=self._step, steps=self._steps)


def base_gguf(job: JobDirectory, spec: FineTuneSpec, base: Path) -> tuple[Path, bool]:
    """The base in the type of the published file, and whether it was made only now. Raises `StageFailed`."""
    wanted = spec.quantization[0]

    def make(path: Path) -> None:
        require_disk(path.parent, 4 * read_base(base).parameters)
        exact = path.with_name("f16.gguf")
        to_gguf(base, exact, "f16")
        quantize_file(exact, path, wanted)

    return kept_base(job.path.parent, base, wanted, make)


def _sides(
    job: JobDirectory, spec: FineTuneSpec, base: Path, asked: Sequence[Asked]
) -> tuple[Side, Side, bool]:
    own = job.path / "train" / "tokenizer"
    after = load_tokenizer(own if own.is_dir() else base)
    before = load_tokenizer(base)
    if len(before) == len(after):  # else it lacks tokens of the prompts that were trained
        before = after
    path, was_made = base_gguf(job, spec, base)
    told, most = _Told(job, 4 * len(asked)), spec.compare_tokens
    of_base = judge_side(path, before, asked, most, told.step)
    gc.collect()
    return of_base, judge_side(job.gguf_path, after, asked, most, told.step), was_made


def comparison(
    job: JobDirectory, spec: FineTuneSpec, base: Path, rows: Sequence[Row]
) -> dict[str, Any]:
    """What is found, or why nothing can be."""
    if report_of(job).get("refused"):
        return _cannot_tell("It was not compared: its file was refused.")
    if not rows:
        return _cannot_tell(
            "It cannot tell: no row was held out. Give a test_dataset, or more rows."
        )
    try:
        before, after, was_made = _sides(job, spec, base, [asked_of(row) for row in rows])
    except StageFailed as error:
        job.append_event("evaluate", "warning", kind="comparison", detail=error.detail)
        return _cannot_tell(f"It was not compared. {error.title}: {error.detail}")
    asked = [asked_of(row) for row in rows]
    try:
        found = compared(asked, before, after, spec.metric, spec.metric_pattern)
    except NotAPattern as error:
        return _cannot_tell(f"It was not compared. {error}")
    return found | {
        "tokens_written": {"base": before.tokens, "tuned": after.tokens},
        "base_was_made": was_made,
    }


def _cannot_tell(reason: str) -> dict[str, Any]:
    return {"says": reason, "verdict": "cannot tell", "rows": 0}


def evaluate(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """dataset/, quantize/ and the base -> evaluate/comparison.json."""
    started = time.monotonic()
    data = stage.needs(job, "dataset", "eval.jsonl")
    stage.needs(job, "quantize", "model.gguf")
    base = stage.base_folder(job, spec)
    rows, there, name = held_out(data, spec.compare_rows, spec.seed)
    found = comparison(job, spec, base, rows)
    if name == "eval" and found["rows"]:
        found["says"] += (
            " These rows were looked at during the training too; a test_dataset is not."
        )
    refused = []
    if spec.require_improvement and found["verdict"] != "better":
        refused = [
            asdict(
                Refusal(
                    "quantize/model.gguf", "Not better than its base", found["says"], "evaluate"
                )
            )
        ]
    found |= {
        "held_out": {"rows": there, "of": name, "most": spec.compare_rows},
        "most_tokens": spec.compare_tokens,
        "quantization": spec.quantization[0],
        "seconds": round(time.monotonic() - started, 1),
        "refused": refused,
    }
    path = folder.path / "comparison.json"
    write_atomically(path, json.dumps(found, indent=1, ensure_ascii=False))
    job.append_event("evaluate", "compared", verdict=found["verdict"], says=found["says"])
    folder.mark_done([path])


if __name__ == "__main__":
    sys.exit(stage.main("evaluate", evaluate))
