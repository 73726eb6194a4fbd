"""How far a job is, folded from its events: each event once, by whoever is first.

The fold up to the last block of the log lies beside it, as `progress.json`. It can be made again at any time; who adds
the event that begins a block brings it up to date, so nobody ever has more than two blocks to read.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from finetune.job.events import BLOCK_BYTES, START, Event, EventLog, Place
from finetune.job.files import read_json, write_atomically

VERSION = 1
FIGURES = (
    "step",
    "steps",
    "loss",
    "eval_loss",
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
    eval_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    memory_bytes: int | None = None
    estimate: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Mapping[str, Any], ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fold:
    """The events before a place, added up, and the places where the blocks of the log begin."""

    place: Place
    progress: JobProgress
    blocks: tuple[Place, ...]

    def block_of(self, number: int) -> Place:
        """Where the block begins that holds the event of this number, or the last one known."""
        return max(place for place in self.blocks if place.lines < max(number, 1))


NOTHING = Fold(START, JobProgress(), (START,))


def fold(log: EventLog, path: Path) -> Fold:
    """All events of a log added up, from the fold at `path` on; unknown events and fields are passed over."""
    folded = kept = _kept(path, log.size())
    while True:
        events, place = log.read(folded.place, BLOCK_BYTES)
        if place == folded.place:
            break
        folded = _folded(folded, events, place)
    if folded.blocks != kept.blocks:
        with contextlib.suppress(OSError):
            write_atomically(path, json.dumps({"version": VERSION, **asdict(folded)}))
    return folded


def _folded(before: Fold, events: list[Event], place: Place) -> Fold:
    progress = before.progress
    for event in events:
        progress = _after(progress, event)
    begins_block = place.offset - before.blocks[-1].offset >= BLOCK_BYTES
    return Fold(place, progress, (*before.blocks, place) if begins_block else before.blocks)


def _kept(path: Path, size: int) -> Fold:
    """The fold that lies there; an empty one when it is missing, damaged, or of another log or version."""
    known: Any = read_json(path)
    try:
        if known["version"] != VERSION or not known["blocks"] or known["place"]["offset"] > size:
            return NOTHING
        progress = known["progress"]
        return Fold(
            Place(**known["place"]),
            JobProgress(**{**progress, "warnings": tuple(progress["warnings"])}),
            tuple(Place(**place) for place in known["blocks"]),
        )
    except (KeyError, TypeError):
        return NOTHING


def _after(progress: JobProgress, event: Event) -> JobProgress:
    match event.type:
        case "stage_started":
            figures: dict[str, Any] = dict.fromkeys(FIGURES)
            return replace(progress, stage=event.stage, **figures)
        case "progress":
            figures = {name: event.fields[name] for name in FIGURES if name in event.fields}
            return replace(progress, stage=event.stage, **figures)
        case "estimated" if event.stage == "verify":
            return replace(progress, estimate={**progress.estimate, "verify": event.fields})
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
