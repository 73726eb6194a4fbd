"""How good an order of pages is, and whether one recipe is better: means, intervals, paired differences."""

import math
from collections.abc import Sequence

import numpy as np

from retrieval_bench.libraries import Place

SAMPLES = 4_000
FIGURES = ("nDCG@10", "hit@1", "hit@5", "MRR@10")


def judged(found: Sequence[Place], right: frozenset[Place]) -> tuple[float, ...]:
    """The figures of one question."""
    hits = [place in right for place in found[:10]]
    first = hits.index(True) if any(hits) else None
    gain = sum(1 / math.log2(at + 2) for at, is_right in enumerate(hits) if is_right)
    best = sum(1 / math.log2(at + 2) for at in range(min(10, len(right))))
    return (
        gain / best,
        float(first == 0),
        float(first is not None and first < 5),
        0.0 if first is None else 1 / (first + 1),
    )


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
