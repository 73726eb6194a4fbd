"""From sequences to optimiser steps: settles what the spec leaves open."""

from dataclasses import dataclass

from finetune.job.parameters.learning import FEWEST_STEPS
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


def require_steps(spec: FineTuneSpec, examples: int, sequences: int) -> None:
    """Refuse, before the model is loaded, what leaves too few steps of the examples. Raises `StageFailed`."""
    if not sequences:
        raise StageFailed("Nothing to learn", "No row is left after cutting. Raise max_length.")
    refusal = spec.refused_schedule(sequences)
    if refusal is not None:
        raise StageFailed("Too few optimiser steps", refusal.reason)
    steps = spec.steps(sequences)
    if sequences < examples and steps < FEWEST_STEPS and steps < spec.steps(examples):
        raise StageFailed(
            "Too few optimiser steps",
            f"Packing puts {examples} examples into {sequences} sequences of max_length={spec.max_length} tokens, "
            f"which makes {steps} optimiser steps; fewer than {FEWEST_STEPS} teach next to nothing. Use "
            f"packing=false ({spec.steps(examples)} steps), a smaller batch_size, more epochs or rows.",
        )


def schedule(spec: FineTuneSpec, sequences: int) -> Schedule:
    """The schedule over so many sequences, after packing: counted as the trainer counts."""
    steps = spec.steps(sequences)
    return Schedule(
        sequences=sequences,
        gradient_accumulation_steps=spec.accumulation(sequences),
        steps=steps,
        warmup_steps=round(spec.warmup_ratio * steps),
        checkpoint_steps=spec.checkpoint_steps or max(1, steps // CHECKPOINTS),
    )
