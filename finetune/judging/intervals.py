"""How sure a mean is: 95 % intervals by the bootstrap, over rows, from paired differences. Numpy alone.

What has no bounds (a loss) takes the studentized bootstrap, which keeps what it promises on skewed values too. What
lies between -1 and 1 (scores) takes BCa with two more rows that say nothing: one half each for and against, one for
neither. They keep the interval of equal rows from having no width, which no resampling of them could give it.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
LEAST_ROWS = 5
"""With fewer rows nothing is said of how sure a mean is."""
REPEATS = 2000
SEED = 20_240_229
LEAST_SPREAD = 0.2
"""Of the standard error that a resample is taken to have at least: a few rows drawn again and again have none."""
TIE = 1e-9
"""A difference that is none: what rounding leaves."""
KEPT_AT_MOST = 2**21
"""Resampling weights that are kept from one call to the next: those of so many numbers."""

Verdict = Literal["better", "worse", "no difference shown", "cannot tell"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over rows and where it lies with 95 % certainty; no bounds where the rows are too few."""

    mean: float
    low: float | None
    high: float | None
    rows: int

    @property
    def verdict(self) -> Verdict:
        """What a mean improvement shows: nothing while its interval holds 0."""
        if self.low is None or self.high is None:
            return "cannot tell"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"


def of_scores(differences: Sequence[float]) -> Interval:
    """The mean of differences between scores, each between -1 and 1."""
    if len(differences) < LEAST_ROWS:
        return _without_bounds(differences)
    values = np.asarray(differences, dtype=np.float64)
    count = len(values)
    values = np.concatenate([values, [0.0, 1.0, -1.0]])
    shares = np.concatenate([np.ones(count), [1.0, 0.5, 0.5]]) / (count + 2)
    center = float(shares @ values)
    means = _resampled(count, padded=True) @ values
    deviations = values - center
    spread = float(shares @ deviations**2)
    skew = float(shares @ deviations**3) / (6 * math.sqrt(count) * spread**1.5)
    below = float((means < center).mean() + (means == center).mean() / 2)
    bias = _normal(min(max(below, 1 / REPEATS), 1 - 1 / REPEATS))
    tails = [NormalDist().cdf(bias + z / (1 - skew * z)) for z in (bias - _Z, bias + _Z)]
    low, high = (float(bound) for bound in np.quantile(means, tails))
    mean = float(np.mean(values[:count]))
    return Interval(mean, min(max(low, -1.0), mean), max(min(high, 1.0), mean), count)


def of_values(differences: Sequence[float]) -> Interval:
    """The mean of differences that have no bounds."""
    if len(differences) < LEAST_ROWS:
        return _without_bounds(differences)
    values = np.asarray(differences, dtype=np.float64)
    count = len(values)
    center = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(count)
    if error <= 1e-12 * max(1.0, abs(center)):  # every row says the same
        return Interval(center, center, center, count)
    weights = _resampled(count, padded=False)
    means = weights @ values
    spreads = np.sqrt(np.maximum(weights @ (values - center) ** 2 - (means - center) ** 2, 0))
    errors = np.maximum(
        spreads * math.sqrt(count / (count - 1)) / math.sqrt(count), error * LEAST_SPREAD
    )
    above, below = np.quantile((means - center) / errors, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])
    return Interval(center, center - float(above) * error, center - float(below) * error, count)


def wins(differences: Sequence[float]) -> dict[str, int]:
    """How many rows were improved, unchanged and spoiled."""
    won = sum(value > TIE for value in differences)
    lost = sum(value < -TIE for value in differences)
    return {"win": won, "tie": len(differences) - won - lost, "loss": lost}


_normal: Any = NormalDist().inv_cdf
_Z: float = _normal((1 + LEVEL) / 2)


def _without_bounds(differences: Sequence[float]) -> Interval:
    mean = sum(differences) / len(differences) if differences else 0.0
    return Interval(mean, None, None, len(differences))


def _resampled(count: int, *, padded: bool) -> Floats:
    """The share of each value in each of the resamples: the same ones every time."""
    make = _kept if REPEATS * (count + 3) <= KEPT_AT_MOST else _made
    return make(count, padded)


def _made(count: int, padded: bool) -> Floats:
    random = np.random.default_rng(SEED)
    shares = np.ones(count)
    if padded:
        shares = np.concatenate([shares, [1.0, 0.5, 0.5]])
    drawn = random.multinomial(count, shares / shares.sum(), size=REPEATS)
    return drawn.astype(np.float64) / count


_kept = functools.lru_cache(maxsize=8)(_made)
