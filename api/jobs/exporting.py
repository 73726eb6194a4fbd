"""A checkpoint of a job that has ended becomes a model by a job of its own, which begins behind the training.

Its folder holds what was learned, and from what: weights and uploads by a second name, where the disk has such. The
first job stays as it is, and so does the model that it has published, which goes on answering whatever becomes of this.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from api.errors import NotFound
from api.jobs.choosing import chosen
from finetune.job.directory import JobDirectory
from finetune.job.events import Event
from finetune.job.files import link_or_copy, read_json, write_atomically
from finetune.job.kept import LEARNED, Kept, Point
from finetune.job.parameters.checking import Bounds
from finetune.job.parameters.running import Checkpoint
from finetune.job.spec import FineTuneSpec, parse_spec

TOLD_AGAIN = frozenset({"plan", "progress", "checkpoint", "warning", "used"})
"""Events of the stages up to the training that hold for what is exported: its losses, and what was warned of."""


def begin_export(
    source: JobDirectory,
    target: JobDirectory,
    checkpoint: Checkpoint | None,
    name: str,
    bounds: Bounds | None,
) -> FineTuneSpec:
    """Make the folder of a job that exports a checkpoint of another one, which nothing works on, as the model `name`;
    without a `checkpoint` that of its specification. `errors.NotFound` when it has not kept that.
    """
    try:
        spec = parse_spec(source.spec_path.read_bytes())
        point, weights = chosen(source, spec.checkpoint if checkpoint is None else checkpoint)
        changes = {"model_name": name, "checkpoint": point.step, "export": True, "bounds": bounds}
        spec = spec.model_copy(update=changes)
        _bring(source, target, spec, point, weights)
    except FileNotFoundError as error:
        raise NotFound(f"The files of job {source.id} are gone, or not whole.") from error
    write_atomically(target.spec_path, spec.model_dump_json(indent=1))
    _tell_again(source, target, point)
    return spec


def _bring(
    source: JobDirectory, target: JobDirectory, spec: FineTuneSpec, point: Point, weights: Path
) -> None:
    """What is left of the stages up to the training, as if that had ended with this one checkpoint."""
    target.inputs.mkdir(parents=True)
    for path in source.inputs.iterdir():
        link_or_copy(path, target.inputs / path.name)
    dataset = target.stage("dataset").path
    for path in (source.path / "dataset").iterdir():
        shutil.copy2(path, dataset / path.name)  # no second name: a stage writes into its files
    train = target.stage("train").path
    Kept(train).add(point.step, point.eval_loss, weights)
    write_atomically(train / LEARNED, json.dumps(_learned(source, spec)))


def _learned(source: JobDirectory, spec: FineTuneSpec) -> dict[str, Any]:
    """What is known of its training; of one that was broken off what it has told so far."""
    train = source.path / "train"
    known = read_json(train / LEARNED)
    if not isinstance(known, dict):
        known = {
            **source.progress().plan,
            "batch_size": spec.batch_size,
            "eval_loss_before": (read_json(train / "before.json") or {}).get("eval_loss"),
            "stopped_early": True,
        }
    return {"trained_by": source.id, **known}


def _tell_again(source: JobDirectory, target: JobDirectory, point: Point) -> None:
    events, _ = source.events()
    target.begin_events(filter(_is_told_again, events))
    detail = f"The checkpoint of step {point.step} of job {source.id} becomes a model."
    target.append_event("job", "begun", detail=detail)


def _is_told_again(event: Event) -> bool:
    return event.stage in ("dataset", "train") and event.type in TOLD_AGAIN
