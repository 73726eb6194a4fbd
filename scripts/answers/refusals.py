"""Refusals before a model is asked: right where the documents hold no answer, wrong where they do.

Each library is asked its own questions, near ones that it does not answer (`unanswerable.txt`), and far ones: those of
the other libraries. Every second question of each kind is for fitting; what is printed is of the others alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from answers.libraries import Library
from api.rag import retrieve
from api.rag.relevance import (
    LOOKED_AT,
    Calibration,
    Evidence,
    calibration_of,
    evidence,
    relevance,
)
from api.services import Services

MOST_WRONG = 0.05
"""Share of answerable questions that the half for fitting may lose to a threshold."""
STEP = 0.05
"""Thresholds are round numbers, so that none is fitted to a single question."""
FAR = 40
DENSE_WEIGHT = 0.5


@dataclass(frozen=True)
class Asked:
    """A question to a library: `own`, `near` or `far`, and what a search for it shows."""

    library: str
    kind: str
    text: str
    evidence: Evidence
    is_for_fitting: bool


async def asked(services: Services, libraries: Sequence[Library]) -> tuple[str, list[Asked]]:
    """The embedder's version, and every question with its evidence."""
    results, version = [], ""
    for library in libraries:
        scope = services.store.collections.scope("", library.name)
        searched = await services.index.likeness(scope, None)
        if not searched:
            continue
        version, likeness = searched
        for number, (kind, text) in enumerate(_questions(library, libraries)):
            hits = await retrieve.hits(
                services.index, services.store, scope, (text,), None, DENSE_WEIGHT
            )
            found = evidence(text, hits[:LOOKED_AT], likeness)
            results.append(Asked(library.name, kind, text, found, number % 2 == 0))
    return version, results


def _questions(library: Library, libraries: Sequence[Library]) -> Iterator[tuple[str, str]]:
    others = [text for one in libraries if one is not library for text in one.answerable]
    yield from (("own", text) for text in library.answerable)
    yield from (("near", text) for text in library.unanswerable)
    yield from (("far", text) for text in others[:: max(1, len(others) // FAR)])


def fitted(questions: Sequence[Asked], embedders: str) -> Calibration:
    """A logistic regression (ridge 0.3, Newton's method) in which every library counts the same, and so do answerable
    and not; then the threshold that refuses most while it is wrong in `MOST_WRONG` of the answerable.
    """
    questions = [one for one in questions if one.is_for_fitting]
    rows = np.array([(*_features(one.evidence), 1.0) for one in questions])
    truth = np.array([one.kind == "own" for one in questions], dtype=float)
    counts = {(one.library, one.kind): 0 for one in questions}
    for one in questions:
        counts[one.library, one.kind] += 1
    share = {"own": 2.0, "near": 1.5, "far": 0.5}
    weights = np.array([share[one.kind] / counts[one.library, one.kind] for one in questions])
    weights /= weights.mean()
    ridge = np.diag([0.3, 0.3, 0.0])
    scale = np.array([*rows[:, :2].std(axis=0), 1.0])
    rows = rows / scale
    found = np.zeros(3)
    for _ in range(50):
        likely = 1 / (1 + np.exp(-rows @ found))
        slope = rows.T @ (weights * (likely - truth)) + ridge @ found
        curve = (rows * (weights * likely * (1 - likely))[:, None]).T @ rows + ridge
        found -= np.linalg.solve(curve, slope)
    nearness, coverage, bias = (round(float(one), 2) for one in found / scale)
    made = Calibration(embedders, nearness, coverage, bias, 0.0)
    return Calibration(embedders, nearness, coverage, bias, threshold(questions, made))


def _features(one: Evidence) -> tuple[float, float]:
    return max(0.0, one.nearness - one.likeness) / (1 - one.likeness), one.coverage


def threshold(questions: Sequence[Asked], calibration: Calibration) -> float:
    """The highest that is wrong in at most `MOST_WRONG` of the answerable questions."""
    found = [relevance(one.evidence, calibration) for one in questions if one.kind == "own"]
    for least in np.arange(1 - STEP, 0, -STEP):
        if np.mean([one < least for one in found]) <= MOST_WRONG:
            return round(float(least), 2)
    return 0.0


def rate(
    questions: Sequence[Asked], library: str, kind: str, calibration: Calibration, least: float
) -> float:
    """The share of a library's questions of a kind that is refused."""
    refused = [
        relevance(one.evidence, calibration) < least
        for one in questions
        if (one.library, one.kind) == (library, kind)
    ]
    return sum(refused) / len(refused) if refused else 0.0


def report(version: str, questions: Sequence[Asked], *, fit: bool) -> str:
    """The table, of the half that nothing was set on."""
    calibration = fitted(questions, version) if fit else calibration_of(version)
    if calibration is None:
        return f"{version} was not measured: use --fit."
    held_out = [one for one in questions if not one.is_for_fitting]
    lines = [
        str(calibration),
        "",
        "refused, of the held-out half: own (wrongly), near (rightly), far (rightly)",
        "| library | shipped threshold | threshold set on the library's other half |",
        "|---|---|---|",
    ]
    for name in sorted({one.library for one in questions}):
        half = [one for one in questions if one.is_for_fitting and one.library == name]
        own = threshold(half, calibration)
        cells = [
            f"{least:.2f}: "
            + ", ".join(_cell(held_out, name, kind, calibration, least) for kind in share_of())
            for least in (calibration.least, own)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def share_of() -> tuple[str, ...]:
    """The kinds of questions, as they are printed."""
    return ("own", "near", "far")


def _cell(
    questions: Sequence[Asked], name: str, kind: str, calibration: Calibration, least: float
) -> str:
    n = sum((one.library, one.kind) == (name, kind) for one in questions)
    return f"{kind} {round(n * rate(questions, name, kind, calibration, least))}/{n}"
