"""How a run is watched, broken off and gone on with."""

from pydantic import BaseModel, Field


class Running(BaseModel):
    """What happens on the way."""

    checkpoint_steps: int | None = Field(
        None, ge=1, description="Optimiser steps between checkpoints; empty: a tenth."
    )
