"""Two training steps on the longest rows of a job, in a process of their own: how long they take and what they hold.

    python -m finetune.training.probe JOB_DIR

Prints one line of JSON: `batch_seconds` of the second step, `memory_bytes`; or `out_of_memory`.
"""

import heapq
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from finetune.data.rows import Row, read_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory
from finetune.job.spec import FineTuneSpec
from finetune.stages.train import TRAINERS
from finetune.training.progress import memory_bytes

STEPS = 2
CHARACTERS_A_TOKEN = 6
ONE_BATCH_A_STEP = {"gradient_accumulation_steps": 1, "epochs": 1000}
"""So many epochs that no schedule is refused; two steps end it."""


class _Clock(TrainerCallback):
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop; what was given to a GPU is waited for."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._began)


def longest(rows: Iterable[Row], spec: FineTuneSpec) -> list[Row]:
    """Rows for the steps, the longest first; of rows that are packed enough to fill the sequences."""
    count = STEPS * spec.batch_size
    if not spec.packs:
        return heapq.nlargest(count, rows, key=_characters)
    taken, missing = [], count * spec.max_length * CHARACTERS_A_TOKEN
    for row in rows:
        taken.append(row)
        missing -= _characters(row)
        if missing < 0:
            break
    return taken


def _characters(row: Row) -> int:
    return len(str(asdict(row)))


def probe(job: JobDirectory, spec: FineTuneSpec) -> dict[str, Any]:
    """Make the steps."""
    rows = longest(read_rows(job.path / "dataset" / "train.jsonl"), spec)
    with tempfile.TemporaryDirectory() as folder:
        as_probed = spec.model_copy(update=ONE_BATCH_A_STEP)
        base = stage.base_folder(job, spec)
        trainer = TRAINERS[spec.method](base, as_probed, Path(folder), rows, [])
        trainer.args.max_steps = STEPS
        trainer.args.save_strategy = SaveStrategy.NO
        trainer.args.logging_strategy = IntervalStrategy.NO
        clock = _Clock()
        trainer.add_callback(clock)
        trainer.train()
    return {"batch_seconds": round(clock.seconds[-1], 4), "memory_bytes": memory_bytes()}


def main(arguments: list[str]) -> int:
    """Say what the steps took, or that memory ran out."""
    job = JobDirectory(Path(arguments[0]))
    try:
        said = probe(job, stage.read_spec(job))
    except (torch.OutOfMemoryError, MemoryError) as error:
        said = {"out_of_memory": str(error)[:300]}
    print(json.dumps(said))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
