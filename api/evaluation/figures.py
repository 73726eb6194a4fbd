"""From answers to figures: how good each arm is, what it costs, and with intervals which lever helped. Arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from api.evaluation.values import Arm, Evaluation, Given, Pair
from finetune.judging import intervals

SHOWN = 10
LEVERS: tuple[tuple[str, Arm, Arm], ...] = (
    ("tuning", "tuned", "base"),
    ("documents", "base_documents", "base"),
    ("tuning, where there are documents", "tuned_documents", "base_documents"),
    ("documents, for the tuned model", "tuned_documents", "tuned"),
    ("both", "tuned_documents", "base"),
    ("tuning rather than documents", "tuned", "base_documents"),
)
"""What is compared: the arm with a lever, and the one without it."""

Scores = Mapping[Arm, Sequence[float]]
Answers = Mapping[Arm, Sequence[Given]]


def result(
    evaluation: Evaluation, pairs: Sequence[Pair], answers: Answers, scores: Scores
) -> dict[str, Any]:
    """All that an evaluation found; answers and scores stand in the order of the questions."""
    levers = [
        _lever(name, scores[with_], scores[without])
        for name, with_, without in LEVERS
        if {with_, without} <= set(scores)
    ]
    return {
        "says": says(levers),
        "metric": evaluation.metric,
        "questions": len(pairs),
        "arms": {arm: _arm(answers[arm], scores[arm]) for arm in evaluation.arms},
        "levers": levers,
        "answers": [
            _shown(number, pair, answers, scores) for number, pair in enumerate(pairs[:SHOWN])
        ],
    }


def says(levers: Sequence[Mapping[str, Any]]) -> str:
    """The comparison in words: what helped, what harmed, and of what nothing was shown."""
    rows = levers[0]["rows"]
    if all(one["verdict"] == "cannot tell" for one in levers):
        return (
            f"{rows} {'question tells' if rows == 1 else 'questions tell'} nothing for sure: ask at least "
            f"{intervals.LEAST_ROWS}, better 50."
        )
    helped = [_named(one) for one in levers if one["verdict"] == "better"]
    harmed = [_named(one) for one in levers if one["verdict"] == "worse"]
    unclear = [str(one["lever"]) for one in levers if one["verdict"] == "no difference shown"]
    parts = []
    if helped:
        parts.append(f"Helped: {'; '.join(helped)}.")
    if harmed:
        parts.append(f"Harmed: {'; '.join(harmed)}.")
    if unclear:
        parts.append(f"No difference shown: {'; '.join(unclear)}.")
    return " ".join(parts)


def _named(lever: Mapping[str, Any]) -> str:
    return f"{lever['lever']} ({lever['mean']:+.2f}, 95 % interval {lever['low']:+.2f} to {lever['high']:+.2f})"


def _lever(name: str, with_: Sequence[float], without: Sequence[float]) -> dict[str, Any]:
    gains = [a - b for a, b in zip(with_, without, strict=True)]
    interval = intervals.of_scores(gains)
    return {
        "lever": name,
        **asdict(interval),
        "verdict": interval.verdict,
        **intervals.wins(gains),
    }


def _arm(answers: Sequence[Given], scores: Sequence[float]) -> dict[str, Any]:
    return {
        "score": sum(scores) / len(scores),
        "prompt_tokens": sum(one.prompt_tokens for one in answers),
        "completion_tokens": sum(one.completion_tokens for one in answers),
        "seconds": round(sum(one.seconds for one in answers), 2),
        "median_seconds": round(median(one.seconds for one in answers), 3),
        "without_answer": sum(one.error is not None for one in answers),
    }


def _shown(number: int, pair: Pair, answers: Answers, scores: Scores) -> dict[str, Any]:
    return {
        "question": pair.messages[-1]["content"],
        "right": pair.answer,
        **{
            arm: {
                "answer": given[number].text,
                "score": scores[arm][number],
                **({"error": given[number].error} if given[number].error else {}),
            }
            for arm, given in answers.items()
        },
    }
