"""How a run is watched, broken off and gone on with."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field


def _step(value: object) -> object:
    """Digits from a query or a form as the number they are."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Checkpoint = Annotated[
    Literal["best", "last"] | Annotated[int, Field(ge=1)], BeforeValidator(_step)
]
"""A checkpoint to export: by the loss on held-out rows, the last one, or by its step."""


ENOUGH_TO_CHOOSE = 32
"""Held-out rows from which on the choice of a checkpoint is not called doubtful.

Checkpoints are compared by their mean loss on the same n rows. The standard error of the difference is s / sqrt(n), s
being how much it varies from row to row, so n = ((z(0.975) + z(0.8)) / d)^2 rows tell a difference of d times s from
chance, 8 times of 10 at the 5 % level (Miller, Adding Error Bars to Evals, arXiv:2411.00640). For a medium effect,
d = 0.5 (Cohen, A Power Primer, 1992), that is (2.8 / 0.5)^2 = 31.4. Rows count, not tokens: those of a row go together.
"""
TOLD_APART = 2.8
"""z(0.975) + z(0.8): times the standard error, what is told from chance."""


class Running(BaseModel):
    """What happens on the way."""

    checkpoint_steps: int | None = Field(
        None, ge=1, description="Optimiser steps between checkpoints; empty: a tenth."
    )
    checkpoint: Checkpoint = Field(
        "best",
        description="Which checkpoint is exported: `best` by the loss on held-out rows, `last`, or a step.",
    )
    early_stopping: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Stop after so many checkpoints without a lower loss on held-out rows; empty: never.",
    )
    priority: int = Field(
        0,
        ge=-100,
        le=100,
        description="Of queued jobs the one of the highest priority comes first.",
    )
    export: bool = Field(
        True,
        description="`false`: it ends when it has trained; publishing the job exports it first.",
    )

    def doubt_of_choice(self, held_out: int) -> str | None:
        """Why the loss on so many held-out rows says little of which checkpoint is best; None where it is enough, and
        where nothing is chosen by it.
        """
        if not 0 < held_out < ENOUGH_TO_CHOOSE:
            return None
        if self.checkpoint != "best" and self.early_stopping is None:
            return None
        rows = "1 held-out row" if held_out == 1 else f"{held_out} held-out rows"
        return (
            f"Checkpoints are compared by their loss on {rows}: that tells two apart when they differ by "
            f"{TOLD_APART / held_out**0.5:.1f} times what the difference varies from row to row, and chooses between "
            f"nearer ones by chance. Give {ENOUGH_TO_CHOOSE} rows or more as eval_dataset, or take checkpoint=last."
        )
