"""The facts sorted into what the page's tables and its first sentences say."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune.report.drawing import Bar, bar
from finetune.report.writing import duration, figure, size

DATA = {
    "rows": "Rows to learn from",
    "eval_rows": "Held-out rows to choose a checkpoint by",
    "test_rows": "Held-out rows to judge by",
    "tokens": "Tokens",
    "longest": "Longest row, in tokens",
}
TRAINING = {
    "sequences": "Sequences",
    "steps": "Optimiser steps",
    "batch_size": "Sequences at once",
    "gradient_accumulation_steps": "Batches a step",
    "eval_loss_before": "Loss on held-out rows before",
    "eval_loss": "Loss on held-out rows after",
    "checkpoint": "Exported checkpoint, by step",
    "stopped_early": "Stopped early",
}
VERIFIED = {
    "mean": "mean difference",
    "largest": "largest difference",
    "equal_first": "equal first tokens",
    "loss": "loss a token",
}

COMPARED: dict[str, tuple[str, Callable[[Any], str]]] = {
    "status": ("Status", figure),
    "base_model": ("Base", figure),
    "rows": ("Rows to learn from", figure),
    "steps": ("Optimiser steps", figure),
    "eval_loss_before": ("Loss on held-out rows before", figure),
    "eval_loss": ("Loss on held-out rows after", figure),
    "checkpoint": ("Exported checkpoint", figure),
    "verdict": ("Against its base", figure),
    "seconds": ("Time", lambda seconds: duration(seconds) if seconds else ""),
    "peak_memory_bytes": ("Memory at most", lambda count: size(count) if count else ""),
    "warnings": ("Warnings", figure),
}

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of the sentences on top of the page."""

    kind: Literal["good", "bad", "fair"]
    text: str


def verdicts(facts: Mapping[str, Any], job: Mapping[str, Any]) -> Iterator[Verdict]:
    """What somebody wants to know first."""
    if error := job["error"]:
        title = f"{error['title']}: " if error.get("title") else ""
        yield Verdict("bad", f"{title}{error.get('detail', '')}")
    if job["warning"]:
        yield Verdict("bad", f"Published in spite of a warning: {job['warning']}")
    if judged := facts.get("judged"):
        kind: dict[str, Literal["good", "bad", "fair"]] = {"better": "good", "worse": "bad"}
        yield Verdict(kind.get(judged["verdict"], "fair"), judged["says"])
    training = facts["training"]
    before, after = training.get("eval_loss_before"), training.get("eval_loss")
    if before is not None and after is not None:
        fell = after < before
        yield Verdict(
            "good" if fell else "bad",
            f"The loss on held-out rows {'fell' if fell else 'rose'} from {figure(before)} to {figure(after)}.",
        )
    if verified := facts.get("verified"):
        refused = verified.get("refused") or []
        if refused:
            yield Verdict("bad", f"{refused[0]['title']}: {refused[0]['detail']}")
        else:
            yield Verdict("good", "The exported file speaks like the model that was trained.")
    if gate := job["gate"]:
        served = f"{gate['texts_equal']} of {gate['probes']} probes were answered as by the verified file."
        yield Verdict("good" if gate["passed"] else "bad", f"On the server {served}")
    if facts["warnings"]:
        count = len(facts["warnings"])
        yield Verdict("fair", f"{count} {'warning' if count == 1 else 'warnings'} on the way.")


def data_rows(data: Mapping[str, Any]) -> list[Row]:
    """How much there was to learn from."""
    return [
        (label, figure(data[name])) for name, label in DATA.items() if data.get(name) is not None
    ]


def training_rows(training: Mapping[str, Any], seconds: Mapping[str, float]) -> list[Row]:
    """What the training came to."""
    rows = [
        (label, figure(training[name]))
        for name, label in TRAINING.items()
        if training.get(name) not in (None, False)
    ]
    if training.get("peak_memory_bytes"):
        rows.append(("Memory at most", size(training["peak_memory_bytes"])))
    if "train" in seconds:
        rows.append(("Time", duration(seconds["train"])))
    return rows


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure before and after, and how sure the difference is."""

    name: str
    base: float | None
    tuned: float | None
    mean: float
    low: float | None
    high: float | None
    verdict: str
    rows: int
    wins: str
    bar: Bar


def comparisons(judged: Mapping[str, Any]) -> list[Comparison]:
    """Each figure that base and tuned model were compared by; improvements point to the right."""
    return [
        Comparison(
            name=one["name"],
            base=one.get("base"),
            tuned=one.get("tuned"),
            mean=one["mean"],
            low=one["low"],
            high=one["high"],
            verdict=one["verdict"],
            rows=one["rows"],
            wins=f"{one['win']} · {one['tie']} · {one['loss']}" if "win" in one else "",
            bar=bar(one["mean"], one["low"], one["high"], _reach(one)),
        )
        for one in judged.get("comparisons", [])
    ]


def _reach(one: Mapping[str, Any]) -> float:
    ends = [abs(one[end]) for end in ("mean", "low", "high") if one[end] is not None]
    return max((end for end in ends if math.isfinite(end)), default=1.0) * 1.15


@dataclass(frozen=True, slots=True)
class Verified:
    """A file and its figures by their names."""

    file: str
    figures: dict[str, Any]


def verified_rows(verified: Mapping[str, Any]) -> list[Verified]:
    """How far each file is from the model that was trained."""
    return [
        Verified(file, {label: found.get(name) for name, label in VERIFIED.items()})
        for file, found in verified.get("files", {}).items()
    ]


def predicted_rows(parts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the run was expected to take, by the last prediction before it, and what it took."""
    before = (parts.get("counted") or parts.get("predicted") or {}).get("figures") or {}
    real = (parts.get("real") or {}).get("figures") or {}
    return [
        (_named(name), _quantity(name, value), _quantity(name, real[name]))
        for name, value in before.items()
        if name in real and value
    ]


def _named(name: str) -> str:
    kind, _, stage = name.partition(".")
    what = {"ram": "RAM", "vram": "GPU memory", "seconds": "Time", "step_seconds": "Time of a step"}
    return f"{what.get(kind, kind.capitalize())}{f', {stage}' if stage else ''}"


def _quantity(name: str, value: float) -> str:
    return duration(value) if "seconds" in name else size(value)


def compared_rows(jobs: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """What each of several jobs came to, a line a figure."""
    return [
        (label, [write(job.get(name)) for job in jobs]) for name, (label, write) in COMPARED.items()
    ]
