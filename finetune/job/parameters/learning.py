"""How a run learns: the method, what is trained of the model, and the schedule."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from finetune.job.parameters.extra import read_extra
from finetune.job.parameters.extra import refused as refused_extra

MOST_ACCUMULATED = 50
LEAST_STEPS = 30
FEWEST_STEPS = 10
"""Fewer than these teach next to nothing: packing or accumulating down to fewer is refused."""

Method = Literal["sft", "pretrain", "dpo"]
Adapter = Literal["lora", "rslora", "dora", "full"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A parameter that cannot be had, and why; it says what can."""

    parameter: str
    reason: str


def _number(value: object) -> object:
    """Digits from a query or a form as the number they are."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _json(value: object) -> object:
    """JSON text from a query or a form as what it says."""
    try:
        return read_extra(value)
    except ValueError as error:
        reason = f"no JSON: {error}"
        raise PydanticCustomError("extra", "{reason}", {"reason": reason}) from None


class Learning(BaseModel):
    """How it learns."""

    method: Method = Field(
        "sft",
        description="`sft` learns the answers in conversations, `pretrain` goes on with raw texts, `dpo` prefers one "
        "answer to another.",
    )
    adapter: Adapter = Field(
        "lora",
        description="What is trained: a LoRA, a rank-stabilised one, a DoRA, or the weights in `full`.",
    )
    bits: Annotated[Literal[4, 8, 16], BeforeValidator(_number)] = Field(
        4, description="Of the base while it is trained: 4 is nf4 QLoRA, 8 LLM.int8, 16 as it is."
    )
    loss: Literal["assistant", "all"] = Field(
        "assistant",
        description="What of a conversation is learned: the assistant's turns, or all of it.",
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
    packing: bool | None = Field(
        None,
        description="Put several rows into one sequence; empty: for `pretrain` where it can be.",
    )
    max_length: int = Field(
        1024, ge=16, le=1_048_576, description="Tokens of a row; longer rows are cut and counted."
    )
    warmup_ratio: float = Field(
        0.03, ge=0, le=1, description="Share of the steps with a rising learning rate."
    )
    seed: int = Field(
        42, ge=0, le=2**31 - 1, description="Seed of order, dropout and initial adapter."
    )

    chat_template: str | None = Field(
        None,
        min_length=1,
        max_length=100_000,
        description="How conversations are written, in place of the base's way: a Jinja template, or `chatml`, whose "
        "marks are added and trained where the base has none.",
    )
    extra: Annotated[dict[str, Any], BeforeValidator(_json)] = Field(
        default_factory=dict,
        description="More parameters of TRL and transformers by their own names, as a JSON object; PEFT's stand under "
        "`lora`.",
    )

    def accumulation(self, sequences: int) -> int:
        """Batches an optimiser step over so many training sequences."""
        if self.gradient_accumulation_steps is not None:
            return self.gradient_accumulation_steps
        batches = int(self.batches(sequences) * self.epochs)
        return max(1, min(MOST_ACCUMULATED, self.batches(sequences), batches // LEAST_STEPS))

    def steps(self, sequences: int) -> int:
        """Optimiser steps over so many training sequences; the last one of an epoch may be smaller."""
        an_epoch = math.ceil(self.batches(sequences) / self.accumulation(sequences))
        return math.ceil(an_epoch * self.epochs)

    def batches(self, sequences: int) -> int:
        """Batches of one epoch over so many training sequences."""
        return math.ceil(sequences / self.batch_size)

    def refused_schedule(self, sequences: int) -> Refusal | None:
        """What of the schedule makes too few steps of so many training sequences; None when it can be."""
        asked, batches = self.gradient_accumulation_steps, self.batches(sequences)
        if asked is None or asked == 1:
            return None
        if asked > batches:
            return Refusal(
                "gradient_accumulation_steps",
                f"gradient_accumulation_steps={asked} needs {asked} batches for one step, and an epoch has "
                f"{batches}; steps do not reach over epochs. Use at most {batches}, more rows, or leave it out.",
            )
        steps = self.steps(sequences)
        if steps < FEWEST_STEPS and self._plain_steps(sequences) > steps:
            return Refusal(
                "gradient_accumulation_steps",
                f"gradient_accumulation_steps={asked} makes {steps} optimiser steps of {sequences} sequences, and "
                f"fewer than {FEWEST_STEPS} teach next to nothing. Leave it out ({self._plain_steps(sequences)} "
                "steps), use more epochs or rows.",
            )
        return None

    def _plain_steps(self, sequences: int) -> int:
        """Optimiser steps when every batch is one."""
        return math.ceil(self.batches(sequences) * self.epochs)

    @property
    def packs(self) -> bool:
        """Whether several rows are to share a sequence."""
        return self.method == "pretrain" if self.packing is None else self.packing

    def refused(self) -> Refusal | None:
        """A combination that cannot be trained; None when all go together."""
        if self.adapter == "full" and self.bits != 16:
            return Refusal(
                "bits",
                f"adapter=full trains the weights themselves, and {self.bits} bits hold none that can move. "
                "Use bits=16, or adapter=lora.",
            )
        if self.adapter == "dora" and self.bits == 8:
            return Refusal(
                "bits",
                "adapter=dora needs the weights of a layer before its first pass, and bitsandbytes then cannot train "
                "them in 8 bits. Use bits=4 or bits=16.",
            )
        unwanted = refused_extra(self.extra, self.method, self.adapter)
        if unwanted is not None:
            return Refusal("extra", f"extra: {unwanted.name}: {unwanted.reason}.")
        if self.method == "dpo":
            return self._refused_of_dpo()
        return None

    def _refused_of_dpo(self) -> Refusal | None:
        if self.adapter == "full":
            return Refusal(
                "adapter",
                "method=dpo compares with the model as it was, which with adapter=full would be a second model "
                "in memory. Use lora, rslora or dora: there the base with the adapter switched off is that model.",
            )
        if self.packing:
            return Refusal(
                "packing", "method=dpo reads pairs, which are not packed. Leave packing out."
            )
        if self.loss == "all":
            return Refusal("loss", "method=dpo compares the answers alone. Leave loss out.")
        return None
