"""The checkpoints that a job has kept, and a choice among them: what comes after the training is then made of that."""

import json
from pathlib import Path
from typing import Any, Literal

from api.errors import InvalidOption
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json, write_atomically
from finetune.job.spec import parse_spec, stages_of

KEPT = Path("train") / "kept.json"


def checkpoints(job: JobDirectory) -> list[dict[str, Any]]:
    """What was kept: `step`, `eval_loss`, and whether it is the one that is exported."""
    kept = read_json(job.path / KEPT)
    done = read_json(job.path / "train" / "done.json")
    exported = done.get("checkpoint") if isinstance(done, dict) else None
    points = kept if isinstance(kept, list) else []
    return [{**point, "exported": point.get("step") == exported} for point in points]


def exported_loss(job: JobDirectory) -> float | None:
    """The loss on held-out rows of the checkpoint that is exported; None before, and without such rows."""
    points = [point for point in checkpoints(job) if point["exported"]]
    return points[0].get("eval_loss") if points else None


def choose(
    job: JobDirectory, checkpoint: Literal["best", "last"] | int | None, name: str | None
) -> dict[str, Any]:
    """Let the job be exported, from another checkpoint or under another name where these are given; its specification
    as it is now. `errors.InvalidOption`.
    """
    steps = [point["step"] for point in checkpoints(job)]
    if isinstance(checkpoint, int) and checkpoint not in steps:
        known = ", ".join(map(str, steps)) or "none"
        raise InvalidOption(
            f"checkpoint: none of step {checkpoint} was kept. There are: {known}.",
            where="checkpoint",
        )
    spec = parse_spec(job.spec_path.read_bytes())
    changes: dict[str, Any] = {
        "export": True,
        "checkpoint": spec.checkpoint if checkpoint is None else checkpoint,
    }
    if name is not None:
        changes["model_name"] = name
    spec = spec.model_copy(update=changes)
    write_atomically(job.spec_path, spec.model_dump_json(indent=1))
    stages = stages_of(spec)
    chosen = checkpoint is not None  # the choice itself is made by stage `train`
    again = stages[stages.index("train") + (not chosen) :] if "train" in stages else stages[1:]
    for stage in reversed(again):
        (job.path / stage / "done.json").unlink(missing_ok=True)
    content: dict[str, Any] = json.loads(spec.model_dump_json())
    return content
