"""Base and tuned model side by side: figures with intervals, and what they show in words."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from finetune.judging import canary, intervals
from finetune.judging.intervals import Interval
from finetune.judging.metrics import Metric, Scoring
from finetune.judging.scoring import scores
from finetune.judging.sides import Asked, Side

SHOWN = 10


LOSS, SKILLS = "loss an answer token", "general skills"


def compared(
    asked: Sequence[Asked], base: Side, tuned: Side, metric: Metric | None, pattern: str | None
) -> dict[str, Any]:
    """Everything that is found. What decides is the metric that was asked for, else the loss."""
    scoring = Scoring(metric or "exact", pattern)
    scored = [_scores(scoring, asked, side) for side in (base, tuned)]
    losses = [[loss if loss is None else -loss for loss in side.losses] for side in (base, tuned)]
    by_loss = _comparison("loss", LOSS, losses, intervals.of_values)
    by_metric = _comparison("metric", scoring.metric, scored, intervals.of_scores)
    skills = _comparison("skills", SKILLS, [base.canary, tuned.canary], intervals.of_scores)
    decides, other = (by_metric, by_loss) if metric else (by_loss, by_metric)
    return {
        "says": says(decides, other, skills),
        "verdict": decides["verdict"],
        "decided_by": decides["name"],
        "rows": len(asked),
        "comparisons": [by_loss, by_metric, skills],
        "skills": {
            "base": canary.by_skill(base.canary),
            "tuned": canary.by_skill(tuned.canary),
        },
        "answers": _shown(asked, base, tuned, *scored),
    }


def says(decides: dict[str, Any], other: dict[str, Any], skills: dict[str, Any]) -> str:
    """The comparison in two or three sentences."""
    parts = [_verdict(decides)]
    if other["verdict"] in ("better", "worse") and other["verdict"] != decides["verdict"]:
        parts.append(f"By {other['name']} it is {other['verdict']}: {_figures(other)}.")
    if skills["verdict"] == "worse":
        parts.append(f"It has forgotten general skills: {_figures(skills)}.")
    return " ".join(parts)


def _verdict(decides: dict[str, Any]) -> str:
    rows = decides["rows"]
    if decides["verdict"] == "cannot tell":
        return (
            f"It cannot tell: {rows} held-out {'row is' if rows == 1 else 'rows are'} too few for {decides['name']}, "
            f"{intervals.LEAST_ROWS} the least, better 50."
        )
    word = {
        "better": "The tuned model is better than its base",
        "worse": "The tuned model is worse than its base",
        "no difference shown": "No difference between the tuned model and its base is shown",
    }[decides["verdict"]]
    return f"{word} on {rows} held-out rows, by {decides['name']}: {_figures(decides)}."


def _figures(figures: dict[str, Any]) -> str:
    return (
        f"{figures['base']:.3f} before, {figures['tuned']:.3f} after, an improvement of {figures['mean']:+.3f} "
        f"(95 % interval {figures['low']:+.3f} to {figures['high']:+.3f})"
    )


def _scores(scoring: Scoring, asked: Sequence[Asked], side: Side) -> list[float | None]:
    given = {
        place: (answer, one.right)
        for place, (one, answer) in enumerate(zip(asked, side.answers, strict=True))
        if answer is not None and one.right is not None
    }
    found = dict(zip(given, scores(scoring, list(given.values())), strict=True))
    return [found.get(place) for place in range(len(asked))]


def _comparison(
    kind: str,
    name: str,
    values: Sequence[Sequence[float | None]],
    interval: Callable[[Sequence[float]], Interval],
) -> dict[str, Any]:
    """Both means, of base and tuned model, and the improvement over the rows of which there are both."""
    pairs = [
        (before, after)
        for before, after in zip(*values, strict=True)
        if before is not None and after is not None
    ]
    gains = [after - before for before, after in pairs]
    found = interval(gains)
    sign = -1 if kind == "loss" else 1
    return {
        "kind": kind,
        "name": name,
        "base": sign * sum(before for before, _ in pairs) / len(pairs) if pairs else None,
        "tuned": sign * sum(after for _, after in pairs) / len(pairs) if pairs else None,
        **asdict(found),
        "verdict": found.verdict,
        **intervals.wins(gains),
    }


def _shown(
    asked: Sequence[Asked],
    base: Side,
    tuned: Side,
    base_scores: Sequence[float | None],
    tuned_scores: Sequence[float | None],
) -> list[dict[str, Any]]:
    shown = [
        {
            "row": one.row.number,
            "question": one.prompt[-1].get("content"),
            "right": one.right,
            "base": base.answers[place],
            "tuned": tuned.answers[place],
            "base_score": base_scores[place],
            "tuned_score": tuned_scores[place],
            "base_loss": base.losses[place],
            "tuned_loss": tuned.losses[place],
        }
        for place, one in enumerate(asked)
        if one.prompt is not None and base.answers[place] is not None
    ]
    return shown[:SHOWN]
