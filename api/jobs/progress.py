"""How far a job is, folded from its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from finetune.job.directory import Event, JobDirectory

FIGURES = (
    "step",
    "steps",
    "loss",
    "learning_rate",
    "tokens_per_second",
    "eta_seconds",
    "memory_bytes",
)


@dataclass(frozen=True, slots=True)
class JobProgress:
    """The stage that runs or ran last, its latest figures, and what was said on the way.

    `stages` holds the seconds of each stage that is done, `estimate` what training was expected to
    need, `plan` what was chosen for these rows, `evaluation` the losses on held-out rows.
    """

    stage: str | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    memory_bytes: int | None = None
    estimate: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Mapping[str, Any], ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)


def read_progress(directory: JobDirectory) -> JobProgress:
    """The progress of a job; unknown events and fields are passed over."""
    progress = JobProgress()
    events, _ = directory.events()
    for event in events:
        progress = _after(progress, event)
    return progress


def _after(progress: JobProgress, event: Event) -> JobProgress:
    match event.type:
        case "stage_started":
            figures: dict[str, Any] = dict.fromkeys(FIGURES)
            return replace(progress, stage=event.stage, **figures)
        case "progress":
            figures = {name: event.fields[name] for name in FIGURES if name in event.fields}
            return replace(progress, stage=event.stage, **figures)
        case "estimated":
            return replace(progress, estimate=event.fields)
        case "plan":
            return replace(progress, plan=event.fields)
        case "evaluated":
            return replace(progress, evaluation={**progress.evaluation, **event.fields})
        case "warning":
            warning = {"stage": event.stage, **event.fields}
            return replace(progress, warnings=(*progress.warnings, warning))
        case "stage_done":
            seconds = event.fields.get("seconds", 0)
            return replace(progress, stages={**progress.stages, event.stage: seconds})
    return progress
