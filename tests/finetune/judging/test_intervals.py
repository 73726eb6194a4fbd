"""Intervals hold what they promise, on simulated runs whose truth is known; and say nothing where there is nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from finetune.judging.intervals import Interval, of_scores, of_values, wins

REPEATS = 500
Draw = Callable[[np.random.Generator, int], list[float]]


def losses(random: np.random.Generator, rows: int) -> list[float]:
    """Skewed, as improvements of a loss are: most rows gain a little, some a lot. Their mean is 0.5."""
    return list(random.gamma(2.0, 0.5, rows) - 0.5)


def answers(random: np.random.Generator, rows: int) -> list[float]:
    """Right or wrong, before and after: 20 % and 60 %, and hard rows are hard for both."""
    hard = random.random(rows) < 0.3
    before = (random.random(rows) < 0.2) & ~hard
    after = (random.random(rows) < 0.6 / 0.7) & ~hard
    return list(after.astype(float) - before)


def words(random: np.random.Generator, rows: int) -> list[float]:
    """F1 of words: anything between, often all or nothing. They do not differ."""
    before, after = random.beta(0.5, 0.5, (2, rows))
    return list(after - before)


@pytest.mark.parametrize("rows", [20, 60, 200])
@pytest.mark.parametrize(
    ("draw", "interval", "truth"),
    [(losses, of_values, 0.5), (answers, of_scores, 0.46), (words, of_scores, 0.0)],
)
def test_the_interval_holds_the_truth_in_95_of_100_runs(
    draw: Draw, interval: Callable[..., Interval], truth: float, rows: int
) -> None:
    random = np.random.default_rng(rows)
    held = 0
    for _ in range(REPEATS):
        found = interval(draw(random, rows))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.92 <= held / REPEATS <= 0.98, f"{held} of {REPEATS}"


def test_no_difference_is_seldom_taken_for_one() -> None:
    random = np.random.default_rng(3)
    verdicts = [of_scores(words(random, 50)).verdict for _ in range(REPEATS)]
    assert verdicts.count("better") + verdicts.count("worse") <= 0.08 * REPEATS


def test_a_model_against_itself_is_a_tie() -> None:
    nothing = [0.0] * 30
    assert of_values(nothing).verdict == of_scores(nothing).verdict == "no difference shown"
    assert wins(nothing) == {"win": 0, "tie": 30, "loss": 0}


def test_rows_that_all_say_the_same_do_not_make_it_certain() -> None:
    found = of_scores([0.0] * 20)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert found.mean == 0


def test_better_and_worse_are_told_apart() -> None:
    random = np.random.default_rng(1)
    gains = losses(random, 40)
    assert of_values(gains).verdict == "better"
    assert of_values([-gain for gain in gains]).verdict == "worse"
    assert of_scores([1.0] * 10).verdict == "better"
    assert wins([1.0, 0.0, -1.0, 0.5]) == {"win": 2, "tie": 1, "loss": 1}


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_a_few_rows_have_a_mean_and_no_interval(rows: int) -> None:
    for found in (of_values([1.0] * rows), of_scores([1.0] * rows)):
        assert (found.low, found.high, found.verdict) == (None, None, "cannot tell")
        assert found.rows == rows


def test_the_same_rows_have_the_same_interval() -> None:
    gains = losses(np.random.default_rng(1), 40)
    assert of_values(gains) == of_values(gains)
