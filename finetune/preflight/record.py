"""`preflight.json` in a job's folder: what was predicted, counted and probed, and in the end what was real.

Whoever knows a part writes it; the parts before it stay. When the job has ended its figures go into the history.
"""

import itertools
import json
import statistics
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from finetune.job.directory import JobDirectory
from finetune.job.events import Event
from finetune.job.files import read_json, write_atomically
from finetune.preflight import history
from finetune.preflight.forecast import Forecast
from finetune.preflight.formula import CUDA_CONTEXT
from finetune.preflight.history import Record, figures

FILE = "preflight.json"
INWARD = ("formula", "about")


def read_parts(job: JobDirectory) -> dict[str, Any] | None:
    """All parts by name; None before there are any."""
    parts = read_json(job.path / FILE)
    return parts if isinstance(parts, dict) else None


def shown(parts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is shown of them: without the figures that only the history needs."""
    if parts is None:
        return None
    return {
        name: {key: value for key, value in part.items() if key not in INWARD}
        for name, part in parts.items()
        if isinstance(part, dict)
    }


def write_part(job: JobDirectory, name: str, part: Mapping[str, Any]) -> None:
    """Add or replace a part."""
    parts = (read_parts(job) or {}) | {name: dict(part)}
    write_atomically(job.path / FILE, json.dumps(parts, indent=1))


def write_forecast(
    job: JobDirectory, name: str, forecast: Forecast, guessed_tokens: int | None = None
) -> None:
    """Write a prediction, and what the formula alone said (and of tokens was guessed), which the history needs."""
    part = {
        **forecast.as_json(),
        "figures": figures(forecast.needs),
        "formula": figures(forecast.by_formula)
        | ({"tokens": guessed_tokens} if guessed_tokens else {}),
        "about": forecast.about,
    }
    write_part(job, name, part)


def conclude(job: JobDirectory) -> None:
    """Write what the job really needed, beside what was predicted, and remember it for the next one."""
    parts = read_parts(job)
    if parts is None:
        return
    counted = parts.get("counted") or {}
    about, by_formula = counted.get("about"), counted.get("formula")
    real = _real(job, on_gpu=(about or {}).get("device") == "gpu")
    write_part(job, "real", {"figures": real, "predicted_by_real": _beside(parts, real)})
    guessed = ((parts.get("predicted") or {}).get("formula") or {}).get("tokens")
    if guessed and by_formula:
        by_formula, real["tokens"] = by_formula | {"tokens": guessed}, counted["tokens"]
    if real and about and by_formula:
        history.add(job.path.parent, Record(**about, formula=by_formula, real=real, job=job.id))


def _real(job: JobDirectory, *, on_gpu: bool) -> dict[str, float]:
    """The figures of the stages that ran from beginning to end in one go."""
    events, _ = job.events()
    starts: dict[str, int] = {}
    found: dict[str, float] = {}
    for event in events:
        if event.type == "stage_started":
            starts[event.stage] = starts.get(event.stage, 0) + 1
        elif event.type == "used":
            found[f"ram.{event.stage}"] = event.fields["ram_bytes"]
        elif event.type == "stage_done":
            found["disk"] = max(found.get("disk", 0), event.fields.get("disk_bytes", 0))
            if starts.get(event.stage) == 1:
                found[f"seconds.{event.stage}"] = event.fields["seconds"]
    facts = read_json(job.path / "train" / "done.json") or {}
    if on_gpu and "peak_memory_bytes" in facts:
        found["vram"] = facts["peak_memory_bytes"] + CUDA_CONTEXT
    if facts.get("stopped_early"):
        found.pop("seconds.train", None)
    if (step := _step_seconds(events)) is not None:
        found["step_seconds"] = step
    return {name: value for name, value in found.items() if value > 0}


def _step_seconds(events: list[Event]) -> float | None:
    """The middle one of the times between two progress events, for a step."""
    steps = [
        (event.fields["step"], datetime.fromisoformat(event.at))
        for event in events
        if event.type == "progress" and "loss" in event.fields
    ]
    each = [
        (after - before).total_seconds() / (number - earlier)
        for (earlier, before), (number, after) in itertools.pairwise(steps)
        if number > earlier
    ]
    return round(statistics.median(each), 4) if each else None


def _beside(parts: Mapping[str, Any], real: Mapping[str, float]) -> dict[str, Any]:
    """Each prediction divided by what was."""
    compared: dict[str, Any] = {}
    for name in ("predicted", "counted"):
        said = (parts.get(name) or {}).get("figures", {})
        ratios = {
            figure: round(said[figure] / real[figure], 3) for figure in said if figure in real
        }
        compared |= {name: ratios} if ratios else {}
    if (seen := (parts.get("probed") or {}).get("train_seconds")) and "seconds.train" in real:
        compared["probed"] = {"seconds.train": round(seen / real["seconds.train"], 3)}
    return compared
