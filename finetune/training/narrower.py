"""When GPU memory runs out in training: half as many rows at once and twice as many batches a step, once."""

import json
import math
from pathlib import Path

from finetune.job.directory import JobDirectory
from finetune.job.files import read_json, write_atomically
from finetune.job.parameters.learning import Refusal
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed

NARROWED = "narrowed.json"


class Narrowed(FineTuneSpec):
    """A specification with a smaller batch; it makes the steps that were allowed before."""

    def refused_schedule(self, sequences: int) -> Refusal | None:
        """None: nobody asked for this accumulation."""
        del sequences
        return None


def narrowed(folder: Path, spec: FineTuneSpec) -> FineTuneSpec:
    """The specification as it is trained: with the smaller batch that an earlier attempt came to."""
    found = read_json(folder / NARROWED)
    return _with(spec, found) if isinstance(found, dict) else spec


def halve(job: JobDirectory, folder: Path, spec: FineTuneSpec, reason: str) -> FineTuneSpec:
    """The same optimiser steps out of half the batch, remembered for a resumed run. Raises `StageFailed` when it was
    halved before, or is one row.
    """
    if (folder / NARROWED).exists() or spec.batch_size == 1:
        rows = f"batch_size={narrowed(folder, spec).batch_size}"
        raise StageFailed(
            "Out of GPU memory",
            f"It ran out with {rows}: {reason} Use gradient_checkpointing, a lower max_length, bits=4, a lower "
            "rank or a smaller base.",
        )
    plan = job.progress().plan
    if "gradient_accumulation_steps" not in plan:
        raise StageFailed(
            "Out of GPU memory",
            f"It ran out before the first step: {reason} Use bits=4, a lower rank or a smaller base, or stop what "
            "else uses the GPU.",
        )
    batch_size = max(
        rows for rows in range(1, spec.batch_size // 2 + 1) if spec.batch_size % rows == 0
    )
    accumulated = int(plan["gradient_accumulation_steps"]) * spec.batch_size
    changes = {
        "batch_size": batch_size,
        "gradient_accumulation_steps": math.ceil(accumulated / batch_size),
    }
    write_atomically(folder / NARROWED, json.dumps(changes))
    job.append_event(
        "train",
        "warning",
        kind="out_of_memory",
        detail=f"GPU memory ran out with batch_size={spec.batch_size}. Training goes on with batch_size={batch_size} "
        f"and gradient_accumulation_steps={changes['gradient_accumulation_steps']}, which makes the same steps.",
    )
    return _with(spec, changes)


def _with(spec: FineTuneSpec, changes: dict[str, int]) -> FineTuneSpec:
    return Narrowed.model_validate({**spec.model_dump(), **changes})
