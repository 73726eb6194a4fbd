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
