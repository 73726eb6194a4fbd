"""FineTuneSpec: everything that decides a fine-tuning run, as it stands in `spec.json`, and the stages it has.

Pydantic only; the api imports it.
"""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from finetune.data.mapping import Kind
from finetune.data.rows import Fold
from finetune.job.parameters.checking import Checking
from finetune.job.parameters.data import Data
from finetune.job.parameters.exporting import Exporting
from finetune.job.parameters.judging import Judging
from finetune.job.parameters.learning import Learning, Method
from finetune.job.parameters.linting import Linting
from finetune.job.parameters.running import Running


class DocumentOrigin(BaseModel):
    """An imported document whose pages are rows."""

    id: str
    name: str
    sha256: str = Field(description="Of its file.")


class DatasetOrigin(BaseModel):
    """Where the rows of a fold came from: a file as it was sent, or a dataset that was there."""

    id: str | None = Field(None, description="The dataset's id; none of a file.")
    name: str | None = Field(None, description="The file's name.")
    sha256: str = Field(description="Of the file as it was sent.")
    documents: list[DocumentOrigin] = Field(
        default_factory=list, description="The imported documents whose pages these are."
    )


class TrainingParameters(Data, Learning, Exporting, Judging, Linting, Running):
    """What a caller can choose.

    Defaults are the original service's where they train well; `docs/fine-tuning.md` says which
    differ and why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class FineTuneSpec(TrainingParameters, Checking):
    """A run: the parameters, what they are applied to and what comes out."""

    version: Literal[1] = Field(1, description="Of this form; without it 1.")
    method: Method | Literal["adapter"] = Field(  # type: ignore[assignment]
        "sft", description="How it learned; `adapter` was trained elsewhere."
    )
    model_name: str = Field(description="Name under which the tuned model is published.")
    base_model: str = Field(description="Name of the trainable base.")
    base_model_folder: str = Field(
        description="Its Hugging Face folder, relative to the job directory."
    )
    datasets: dict[Fold, DatasetOrigin] = Field(
        default_factory=dict, description="What is learned, and what judges it, as it was given."
    )
    suffix: str | None = Field(None, description="What its owner calls it, in any words.")
    metadata: dict[str, str] = Field(
        default_factory=dict, description="What its owner has noted about it."
    )

    @property
    def has_rows_of_ours(self) -> bool:
        """Whether it is verified on conversations of ours: the adapter came without the rows it had learned."""
        origin = self.datasets.get("train")
        is_named = origin is not None and (origin.name or origin.id)
        return self.method == "adapter" and not is_named


METHODS = ("sft", "pretrain", "dpo", "adapter")
VERSIONS = (1,)

STAGES: dict[str, tuple[str, ...]] = dict.fromkeys(
    METHODS, ("dataset", "train", "merge", "convert", "quantize", "verify", "evaluate")
) | {"adapter": ("dataset", "merge", "convert", "quantize", "verify", "evaluate")}
_WISHED = {"merge": "keep_merged", "evaluate": "compare_rows"}
"""Stages that a run has only when this parameter asks for them."""

LEARNS: dict[str, Kind] = {
    "sft": "chat",
    "pretrain": "text",
    "dpo": "preference",
    "adapter": "chat",
}
"""For each method what the rows are that it learns from, or is verified on."""


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
    return FineTuneSpec.model_validate(content)


def stages_of(spec: FineTuneSpec) -> tuple[str, ...]:
    """The names of the stages a run has, in their order; without an export those up to its training."""
    stages = tuple(
        name for name in STAGES[spec.method] if name not in _WISHED or getattr(spec, _WISHED[name])
    )
    return stages if spec.export else stages[: stages.index("train") + 1]


class JobError(BaseModel):
    """Why a job ended badly: what is wrong and what to do."""

    title: str
    detail: str
    stage: str | None = None


class Outcome(BaseModel):
    """`outcome.json`, written last of all. What was trained has an `error` when it waits for its owner."""

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
