"""How well pages were found: hit@1, hit@5, MRR@10 and nDCG@10 with intervals, and two measurements side by side.

Arithmetic alone. A page counts once, at its best passage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

from finetune.judging import intervals
from finetune.judging.intervals import Verdict

DEPTH = 10
"""Pages that are looked at."""
METRICS = ("hit@1", "hit@5", "mrr@10", "ndcg@10")
DECIDING = "ndcg@10"
SEEN = 5
"""A question none of whose pages is among so many is a miss."""
SHOWN = 100


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page that was found, with its best passage."""

    document: str
    page: int
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question found. `ranks` are those of the expected pages among the pages found, the first being 1."""

    question: str
    expected: tuple[Mapping[str, Any], ...]
    ranks: tuple[int, ...]
    found: tuple[FoundPage, ...]
    seconds: float
    proposed_by: str = ""

    @property
    def is_miss(self) -> bool:
        """Whether nobody would have seen it."""
        return not any(rank <= SEEN for rank in self.ranks)

    def scores(self) -> dict[str, float]:
        """Each metric of this question, 0 to 1."""
        return scores(self.ranks, len(self.expected))

    @staticmethod
    def of(row: Mapping[str, Any]) -> "Outcome":
        """As it was written down."""
        found = tuple(FoundPage(**one) for one in row["found"])
        values = {**row, "found": found, "expected": tuple(row["expected"])}
        return Outcome(**{**values, "ranks": tuple(row["ranks"])})


def scores(ranks: Sequence[int], expected: int) -> dict[str, float]:
    """Each metric of one question, 0 to 1, by the ranks of those of its pages that were found: 1 to `DEPTH`."""
    best = min(ranks, default=0)
    gain = sum(1 / log2(rank + 1) for rank in ranks)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(expected, DEPTH) + 1))
    return {
        "hit@1": float(best == 1),
        "hit@5": float(0 < best <= 5),
        "mrr@10": 1 / best if best else 0.0,
        "ndcg@10": gain / ideal,
    }


@dataclass(frozen=True, slots=True)
class Metric:
    """A mean over the questions with its 95 % interval; no bounds with fewer than five."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """A metric before and after, over the same questions, and their mean difference with its 95 % interval."""

    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two measurements over the questions that both asked."""

    against: str
    questions: int
    says: str
    metrics: Mapping[str, Change]
    gained: tuple[str, ...]
    lost: tuple[str, ...]


def metrics(outcomes: Sequence[Outcome]) -> dict[str, Metric]:
    """Each metric over all questions."""
    scores = [one.scores() for one in outcomes]
    return {name: _metric([one[name] for one in scores]) for name in METRICS}


def seconds(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """How long a search took: half of them at most `p50`, nearly all `p95`."""
    taken = sorted(one.seconds for one in outcomes)
    return {
        name: round(taken[min(int(len(taken) * share), len(taken) - 1)], 4)
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def compared(against: str, before: Sequence[Outcome], after: Sequence[Outcome]) -> Comparison:
    """What changed for the questions that both asked and expected the same pages of."""
    known = {_key(one): one for one in before}
    pairs = [(known[_key(one)], one) for one in after if _key(one) in known]
    scores = [(was.scores(), now.scores()) for was, now in pairs]
    changes = {name: _change([(was[name], now[name]) for was, now in scores]) for name in METRICS}
    return Comparison(
        against=against,
        questions=len(pairs),
        says=_says(len(pairs), changes[DECIDING]),
        metrics=changes,
        gained=tuple(now.question for was, now in pairs if was.is_miss and not now.is_miss)[:SHOWN],
        lost=tuple(now.question for was, now in pairs if now.is_miss and not was.is_miss)[:SHOWN],
    )


def _key(outcome: Outcome) -> tuple[str, frozenset[tuple[str, int]]]:
    pages = ((str(one["document"]), int(one["page"])) for one in outcome.expected)
    return outcome.question, frozenset(pages)


def _metric(values: Sequence[float]) -> Metric:
    """Scores from 0 to 1, which the intervals take as from -1 to 1."""
    found = intervals.of_scores([2 * value - 1 for value in values])
    mean, low, high = (
        None if one is None else round((one + 1) / 2, 4)
        for one in (found.mean, found.low, found.high)
    )
    return Metric(mean or 0.0, low, high)


def _change(pairs: Sequence[tuple[float, float]]) -> Change:
    found = intervals.of_scores([after - before for before, after in pairs])
    before = sum(one for one, _ in pairs) / len(pairs) if pairs else 0.0
    bounds = [None if one is None else round(one, 4) for one in (found.low, found.high)]
    return Change(
        before=round(before, 4),
        after=round(before + found.mean, 4),
        difference=round(found.mean, 4),
        low=bounds[0],
        high=bounds[1],
        verdict=found.verdict,
    )


def _says(questions: int, change: Change) -> str:
    if not questions:
        return "No question is the same in both: they cannot be compared."
    what = (
        f"{DECIDING} {change.before:.3f} before, {change.after:.3f} after, on {questions} questions"
    )
    if change.low is None or change.high is None:
        return f"Too few questions to tell: {what}."
    words = {
        "better": "Better",
        "worse": "Worse",
        "no difference shown": "No difference shown",
        "cannot tell": "Cannot tell",
    }[change.verdict]
    return f"{words}: {what}; {change.difference:+.3f} (95 % interval {change.low:+.3f} to {change.high:+.3f})."


def as_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """As they are written down."""
    return [asdict(one) for one in outcomes]
