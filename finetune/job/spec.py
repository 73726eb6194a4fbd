"""FineTuneSpec: everything that decides a fine-tuning run, as it stands in `spec.json`, and the stages it has.

Pydantic only; the api imports it.
"""

import json
import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Quantization = Literal["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q3_K_M"]

MOST_ACCUMULATED = 50
LEAST_STEPS = 30


def held_out_rows(rows: int) -> int:
    """How many rows are kept out of training to judge it, when no evaluation file is given: none of a few."""
    return 0 if rows < 10 else min(50, max(1, round(rows * 0.05)))


def _number(value: object) -> object:
    """Digits from a query or a form as the number they are."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class TrainingParameters(BaseModel):
    """What a caller can choose.

    Defaults are the original service's where they train well; `docs/fine-tuning.md` says which
    differ and why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    bits: Annotated[Literal[4, 8, 16], BeforeValidator(_number)] = Field(
        4, description="4: nf4 QLoRA, 8: LLM.int8, 16: plain LoRA."
    )
    quantization: Quantization = Field("Q4_K_M", description="Type of the published GGUF.")
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
    checkpoint_steps: int | None = Field(
        None, ge=1, description="Optimiser steps between checkpoints; empty: a tenth."
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


class SftSpec(TrainingParameters):
    """A run of supervised fine-tuning: the parameters, what they are applied to and what comes out."""

    version: Literal[1] = Field(1, description="Of this form; without it 1.")
    method: Literal["sft"] = Field("sft", description="How it learns; without it `sft`.")
    model_name: str = Field(description="Name under which the tuned model is published.")
    base_model: str = Field(description="Name of the trainable base.")
    base_model_folder: str = Field(
        description="Its Hugging Face folder, relative to the job directory."
    )


FineTuneSpec = SftSpec
"""What `spec.json` can hold, for annotations: any of `METHODS`, of which there is one. Their own classes make it, and
`parse_spec` alone reads it.
"""

METHODS = {"sft": SftSpec}
VERSIONS = (1,)

STAGES: dict[str, tuple[str, ...]] = {
    "sft": ("dataset", "train", "merge", "convert", "quantize", "verify")
}


class UnknownSpec(ValueError):
    """A version or a method that this release does not know."""


def parse_spec(text: bytes) -> FineTuneSpec:
    """The content of a `spec.json`, which nothing else reads; without a version it is of version 1, without a method
    `sft`.

    Raises `ValueError` (a `ValidationError` is one), for what another release wrote `UnknownSpec`.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("It is no JSON object.")
    version, method = content.get("version", 1), content.get("method", "sft")
    if version not in VERSIONS:
        known = ", ".join(map(str, VERSIONS))
        raise UnknownSpec(
            f"Its version is {version!r}; known: {known}. A newer release wrote it: train with that."
        )
    if not isinstance(method, str) or method not in METHODS:
        raise UnknownSpec(f"Its method is {method!r}; known: {', '.join(METHODS)}.")
    return METHODS[method].model_validate(content)


def stages_of(spec: FineTuneSpec) -> tuple[str, ...]:
    """The names of the stages a run has, in their order."""
    return STAGES[spec.method]


class JobError(BaseModel):
    """Why a job ended badly: what is wrong and what to do."""

    title: str
    detail: str
    stage: str | None = None


class Outcome(BaseModel):
    """`outcome.json`, written last of all."""

    result: Literal["trained", "failed", "cancelled"]
    error: JobError | None = None


class Probe(BaseModel):
    """One conversation and how the verified GGUF answers it: what publishing replays through the runtime."""

    messages: list[dict[str, str]]
    prompt_tokens: int
    max_tokens: int = 16
    text: str
    finish_reason: Literal["stop", "length"]


class Probes(BaseModel):
    """`verify/probes.json`."""

    probes: Annotated[list[Probe], Field(min_length=1)]
