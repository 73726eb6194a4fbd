"""How a run learns: the method, what is trained of the model, and the schedule."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

MOST_ACCUMULATED = 50
LEAST_STEPS = 30


def _number(value: object) -> object:
    """Digits from a query or a form as the number they are."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class Learning(BaseModel):
    """How it learns."""

    bits: Annotated[Literal[4, 8, 16], BeforeValidator(_number)] = Field(
        4, description="4: nf4 QLoRA, 8: LLM.int8, 16: plain LoRA."
    )
    rank: int = Field(24, ge=1, le=512, description="LoRA rank.")
    lora_alpha: int = Field(
        48, ge=1, le=2048, description="LoRA scale; alpha/rank multiplies the update."
    )
    lora_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on the LoRA input.")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Peak of the cosine schedule.")
    epochs: float = Field(1, gt=0, le=1000, description="Passes over the rows.")
    batch_size: int = Field(1, ge=1, le=1024, description="Rows on the GPU at once.")
    gradient_accumulation_steps: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Batches an optimiser step; empty: at most 50, so that 30 steps remain.",
    )
    gradient_checkpointing: bool = Field(True, description="Trade time for memory.")
    packing: bool = Field(False, description="Put several rows into one sequence.")
    max_length: int = Field(
        1024, ge=16, le=1_048_576, description="Tokens of a row; longer rows are cut and counted."
    )
    warmup_ratio: float = Field(
        0.03, ge=0, le=1, description="Share of the steps with a rising learning rate."
    )
    seed: int = Field(
        42, ge=0, le=2**31 - 1, description="Seed of order, dropout and initial adapter."
    )

    def accumulation(self, sequences: int) -> int:
        """Batches an optimiser step over so many training sequences."""
        if self.gradient_accumulation_steps is not None:
            return self.gradient_accumulation_steps
        return max(1, min(MOST_ACCUMULATED, self.batches(sequences) // LEAST_STEPS))

    def steps(self, sequences: int) -> int:
        """Optimiser steps over so many training sequences."""
        batches = math.ceil(sequences / self.batch_size)
        return math.ceil(math.ceil(batches / self.accumulation(sequences)) * self.epochs)

    def batches(self, sequences: int) -> int:
        """Batches of all epochs over so many training sequences."""
        return int(math.ceil(sequences / self.batch_size) * self.epochs)
