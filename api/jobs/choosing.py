"""The checkpoints that a job has kept, and a choice among them: what comes after the training is then made of that."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from api.errors import NotFound
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json, write_atomically
from finetune.job.kept import Kept, Point
from finetune.job.parameters.running import Checkpoint
from finetune.job.spec import parse_spec, stages_of
from finetune.job.stage import StageFailed


def checkpoints(job: JobDirectory) -> list[dict[str, Any]]:
    """Those whose weights are there: `step`, `eval_loss`, and whether it is the one that is exported."""
    done = read_json(job.path / "train" / "done.json")
    exported = done.get("checkpoint") if isinstance(done, dict) else None
    return [{**asdict(point), "exported": point.step == exported} for point in _kept(job).there()]


def exported_loss(job: JobDirectory) -> float | None:
    """The loss on held-out rows of the checkpoint that is exported; None before, and without such rows."""
    points = [point for point in checkpoints(job) if point["exported"]]
    return points[0].get("eval_loss") if points else None


def chosen(job: JobDirectory, checkpoint: Checkpoint) -> tuple[Point, Path]:
    """A checkpoint, and the folder of its weights; `errors.NotFound`, which says which there are."""
    try:
        return _kept(job).chosen(checkpoint)
    except StageFailed as failed:
        raise NotFound(f"checkpoint: {failed.detail}", where="checkpoint") from failed


def choose(job: JobDirectory, checkpoint: Checkpoint | None, name: str | None) -> dict[str, Any]:
    """Let the job be exported, from another checkpoint or under another name where these are given; its specification
    as it is now. `errors.NotFound`.
    """
    if checkpoint is not None:
        chosen(job, checkpoint)
    spec = parse_spec(job.spec_path.read_bytes())
    changes: dict[str, Any] = {
        "export": True,
        "checkpoint": spec.checkpoint if checkpoint is None else checkpoint,
    }
    if name is not None:
        changes["model_name"] = name
    spec = spec.model_copy(update=changes)
    stages = stages_of(spec)
    is_chosen = checkpoint is not None  # the choice itself is made by stage `train`
    again = stages[stages.index("train") + (not is_chosen) :] if "train" in stages else stages[1:]
    for stage in reversed(again):
        (job.path / stage / "done.json").unlink(missing_ok=True)
    # last: it never tells of files that are others'
    write_atomically(job.spec_path, spec.model_dump_json(indent=1))
    content: dict[str, Any] = json.loads(spec.model_dump_json())
    return content


def _kept(job: JobDirectory) -> Kept:
    return Kept(job.path / "train")
