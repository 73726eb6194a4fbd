"""From sequences to optimiser steps: settles what the spec leaves open."""

import math
from dataclasses import dataclass

from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed

CHECKPOINTS = 10


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many sequences there are, and when what happens."""

    sequences: int
    gradient_accumulation_steps: int
    steps: int
    warmup_steps: int
    checkpoint_steps: int


def schedule(spec: FineTuneSpec, sequences: int) -> Schedule:
    """The schedule over so many sequences, after packing. Raises `StageFailed` when it has no whole step.

    Nobody can know beforehand how few sequences packing leaves, so then one smaller step is made.
    """
    accumulation, batches = spec.accumulation(sequences), spec.batches(sequences)
    if spec.packing:
        accumulation = min(accumulation, max(1, batches))
    if batches < accumulation:
        raise StageFailed(
            "Not one optimiser step",
            f"gradient_accumulation_steps={accumulation} needs {accumulation} batches a step, and the "
            f"{sequences} sequences give {batches} in all. Use less, more epochs or rows, or leave it out.",
        )
    steps_an_epoch = math.ceil(math.ceil(sequences / spec.batch_size) / accumulation)
    steps = math.ceil(steps_an_epoch * spec.epochs)
    return Schedule(
        sequences=sequences,
        gradient_accumulation_steps=accumulation,
        steps=steps,
        warmup_steps=round(spec.warmup_ratio * steps),
        checkpoint_steps=spec.checkpoint_steps or max(1, steps // CHECKPOINTS),
    )
