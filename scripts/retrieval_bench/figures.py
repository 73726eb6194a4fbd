"""How good an order of pages is, and whether one recipe is better: means, intervals, paired differences."""

from collections.abc import Sequence

import numpy as np

from api.evaluation.retrieval_figures import DEPTH, scores
from retrieval_bench.libraries import Place

SAMPLES = 4_000
FIGURES = ("nDCG@10", "hit@1", "hit@5", "MRR@10")


def judged(found: Sequence[Place], right: frozenset[Place]) -> tuple[float, ...]:
    """The figures of one question."""
    ranks = [rank for rank, place in enumerate(found[:DEPTH], start=1) if place in right]
    figures = scores(ranks, len(right))
    return tuple(figures[name.casefold()] for name in FIGURES)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % of the means of samples drawn with replacement; the same samples each time, so that pairs stay pairs."""
    drawn = np.random.default_rng(0).integers(0, len(values), (SAMPLES, len(values)))
    low, high = np.percentile(np.asarray(values)[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def told(values: Sequence[float]) -> str:
    """A mean with its interval."""
    low, high = interval(values)
    return f"{np.mean(values):.3f} [{low:.3f} {high:.3f}]"


def difference(values: Sequence[float], others: Sequence[float]) -> str:
    """The mean of what pairs differ by, with its interval."""
    apart = np.asarray(values) - np.asarray(others)
    low, high = interval(list(apart))
    return f"{apart.mean():+.3f} [{low:+.3f} {high:+.3f}]"
