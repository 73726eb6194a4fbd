"""Which parameters come next: all of a grid, different ones at random, and with TPE those near the best."""

import pytest

from api.errors import InvalidOption
from api.sweeps.planning import check, planned
from api.sweeps.search import Parameters, Range, Space, at_random, grid, promising

RATES: Space = {
    "learning_rate": Range(low=1e-5, high=1e-1, log=True),
    "rank": Range(low=4, high=64),
}


def test_a_grid_is_every_combination() -> None:
    assert grid({"rank": (4, 8), "bits": (4, 16)}) == [
        {"rank": 4, "bits": 4},
        {"rank": 4, "bits": 16},
        {"rank": 8, "bits": 4},
        {"rank": 8, "bits": 16},
    ]


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (RATES, "learning_rate is a range"),
        ({"seed": tuple(range(51))}, "51 combinations"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(space: Space, says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        grid(space)


def test_at_random_are_different_ones_within_bounds_and_the_same_for_a_seed() -> None:
    found = at_random(RATES, 20, seed=1)
    assert len(found) == 20
    assert found == at_random(RATES, 20, seed=1) != at_random(RATES, 20, seed=2)
    rates = sorted(float(one["learning_rate"]) for one in found)
    assert 1e-5 <= rates[0] < 1e-3 < rates[-1] <= 1e-1, "spread over magnitudes"
    assert all(isinstance(one["rank"], int) and 4 <= one["rank"] <= 64 for one in found)


def test_of_few_possible_ones_none_comes_twice() -> None:
    assert len(at_random({"bits": (4, 8, 16)}, 10, seed=0)) == 3


def test_tpe_comes_nearer_to_the_best_than_chance_does() -> None:
    def loss(parameters: Parameters) -> float:
        return abs(float(parameters["rank"]) - 40)

    space: Space = {"rank": Range(low=1, high=1000)}
    tried: list[tuple[Parameters, float | None]] = []
    for _ in range(30):
        one = promising(space, tried, seed=3)
        tried.append((one, loss(one)))
    late = sorted(value for _, value in tried[15:] if value is not None)
    by_chance = sorted(loss(one) for one in at_random(space, 15, seed=3))
    assert late[7] < by_chance[7] / 2


def test_tpe_learns_nothing_from_a_run_that_failed() -> None:
    one = promising(RATES, [({"learning_rate": 0.01, "rank": 8}, None)], seed=0)
    assert one.keys() == RATES.keys()


@pytest.mark.parametrize(
    ("space", "settings", "says"),
    [
        ({"colour": ("red",)}, {}, "'colour' cannot be varied"),
        ({"export": (True,)}, {}, "'export' cannot be varied"),
        ({"rank": ()}, {}, "rank has no value"),
        ({"rank": (8, 0)}, {}, "rank: Input should be greater"),
        ({"learning_rate": Range(low=0.1, high=7)}, {}, "learning_rate: Input should be less"),
        ({"rank": (8,)}, {"rank": 4}, "both varied and set"),
        ({"rank": (8,)}, {"depth": 4}, "'depth' is no parameter"),
        ({"rank": (8,)}, {"epochs": -1}, "epochs"),
    ],
)
def test_what_no_job_would_take_is_refused_at_once(
    space: Space, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidOption, match=says):
        check(space, settings)


def test_nothing_to_vary_is_no_sweep() -> None:
    with pytest.raises(InvalidOption, match="at least one"):
        planned("grid", {}, 10, 0)
