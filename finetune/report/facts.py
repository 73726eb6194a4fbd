"""Everything that a job's directory tells, in one JSON object: what the page shows, and what jobs are compared by.

Whatever is not there yet is left out, so a job that runs or failed has a report too. Standard library and
pydantic only; the api imports it.
"""

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from finetune.job.directory import JobDirectory
from finetune.job.events import START, Event
from finetune.job.files import read_json
from finetune.job.spec import FineTuneSpec, parse_spec, stages_of

MOST_POINTS = 300
"""A loss curve has at most so many points; each is the mean of the steps that it stands for."""
NOT_SETTINGS = frozenset(
    {"version", "model_name", "base_model", "base_model_folder", "suffix", "metadata"}
)
FOUND_IN = {
    "lint": "dataset/lint.json",
    "predicted": "preflight.json",
    "verified": "verify/report.json",
    "judged": "evaluate/comparison.json",
}

Curve = list[tuple[int, float]]


def facts_of(job: JobDirectory) -> dict[str, Any]:
    """What the directory tells; of a damaged or unknown `spec.json` no settings."""
    spec = _spec(job)
    stages = stages_of(spec) if spec else ()
    done = {stage: read_json(job.path / stage / "done.json") or {} for stage in stages}
    progress = job.progress()
    losses, held_out = _curves(job)
    found = {name: read_json(job.path / path) for name, path in FOUND_IN.items()}
    return {
        "id": job.id,
        "model": spec.model_name if spec else None,
        "base_model": spec.base_model if spec else None,
        "settings": _settings(spec),
        "data": _facts(done.get("dataset", {})),
        "training": {
            **_facts(done.get("train", {})),
            "losses": losses,
            "held_out_losses": held_out,
            "checkpoints": read_json(job.path / "train" / "kept.json") or [],
        },
        **{name: content for name, content in found.items() if isinstance(content, dict)},
        "seconds": dict(progress.stages),
        "warnings": [dict(warning) for warning in progress.warnings],
        "files": _files(job.path, done),
        "versions": done.get("train", {}).get("versions") or {},
    }


def _spec(job: JobDirectory) -> FineTuneSpec | None:
    try:
        return parse_spec(job.spec_path.read_bytes())
    except (OSError, ValueError):
        return None


def _settings(spec: FineTuneSpec | None) -> dict[str, dict[str, Any]]:
    """Each parameter by its name: its value, and whether somebody chose it."""
    if spec is None:
        return {}
    return {
        name: {
            "value": value,
            "chosen": value != type(spec).model_fields[name].get_default(call_default_factory=True),
        }
        for name, value in spec.model_dump(mode="json").items()
        if name not in NOT_SETTINGS
    }


def _facts(done: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in done.items() if name not in ("files", "versions")}


def _files(job: Path, done: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the stages left, with sizes and hashes; what has gone since is left out."""
    return [
        {"path": f"{stage}/{name}", **entry}
        for stage, marker in done.items()
        for name, entry in marker.get("files", {}).items()
        if (job / stage / name).is_file()
    ]


def _curves(job: JobDirectory) -> tuple[Curve, Curve]:
    """Loss by step, in training and on held-out rows."""
    losses: dict[int, float] = {}
    held_out: dict[int, float] = {}
    for event in _events(job):
        if event.stage == "train" and event.type == "progress":
            for name, into in (("loss", losses), ("eval_loss", held_out)):
                value = event.fields.get(name)
                if isinstance(value, int | float) and isinstance(event.fields.get("step"), int):
                    into[event.fields["step"]] = float(value)
    return thinned(sorted(losses.items())), sorted(held_out.items())


def _events(job: JobDirectory) -> Iterable[Event]:
    place = START
    while True:
        events, behind = job.some_events(place)
        yield from events
        if behind == place:
            return
        place = behind


def thinned(curve: Curve) -> Curve:
    """At most `MOST_POINTS` points: means of steps in succession, each at the last of its steps."""
    if len(curve) <= MOST_POINTS:
        return curve
    bounds = [round(number * len(curve) / MOST_POINTS) for number in range(MOST_POINTS + 1)]
    parts = [curve[begin:end] for begin, end in pairwise(bounds)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
