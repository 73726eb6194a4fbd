"""Several jobs side by side: the settings in which they differ, and what each came to."""

from collections.abc import Mapping, Sequence
from typing import Any

FIGURES = ("eval_loss_before", "eval_loss", "checkpoint", "steps", "peak_memory_bytes")


def compared(jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """From the facts of each (`facts_of`, with the service's `status`), in the order in which they were named.

    `differences` holds each setting that is not the same everywhere, one value a job.
    """
    names = dict.fromkeys(name for facts in jobs for name in facts["settings"])
    values = {
        name: [facts["settings"].get(name, {}).get("value") for facts in jobs] for name in names
    }
    return {
        "jobs": [_summary(facts) for facts in jobs],
        "differences": {
            name: some for name, some in values.items() if any(one != some[0] for one in some)
        },
        "best": _best(jobs),
    }


def _summary(facts: Mapping[str, Any]) -> dict[str, Any]:
    training, judged = facts["training"], facts.get("judged") or {}
    data = facts["data"]
    return {
        "id": facts["id"],
        "model": facts["model"],
        "base_model": facts["base_model"],
        "status": facts.get("status"),
        "rows": data.get("rows"),
        **{name: training.get(name) for name in FIGURES},
        "seconds": sum(facts["seconds"].values()),
        "verdict": judged.get("verdict"),
        "says": judged.get("says"),
        "refused": [one["title"] for one in (facts.get("verified") or {}).get("refused", [])],
        "warnings": len(facts["warnings"]),
        "losses": training["losses"],
        "held_out_losses": training["held_out_losses"],
    }


def _held_out(facts: Mapping[str, Any]) -> str | None:
    """The hash of the rows that it was judged by at its checkpoints."""
    files = {file["path"]: file["sha256"] for file in facts["files"]}
    return files.get("dataset/eval.jsonl")


def _best(jobs: Sequence[Mapping[str, Any]]) -> str | None:
    """The job of the lowest loss on held-out rows; None where they were held against different rows."""
    held_out = {_held_out(facts) for facts in jobs}
    losses = {facts["id"]: facts["training"].get("eval_loss") for facts in jobs}
    known: dict[str, float] = {id: loss for id, loss in losses.items() if loss is not None}
    if len(held_out) > 1 or len(known) < 2:
        return None
    return min(known, key=lambda id: known[id])
