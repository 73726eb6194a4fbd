"""Which parameters a sweep tries next: all combinations, some at random, or where earlier ones promise most (TPE)."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.errors import InvalidOption

MOST_RUNS = 50

Method = Literal["grid", "random", "tpe"]
Value = str | int | float | bool
Parameters = dict[str, Value]


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; whole ones where both are whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float
    high: int | float
    log: bool = Field(False, description="Spread over magnitudes, as for a learning rate.")

    @model_validator(mode="after")
    def require_room(self) -> "Range":
        """Raises `ValueError` when nothing lies between them."""
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 for log")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Choices = tuple[Value, ...]
Space = dict[str, Range | Choices]


def grid(space: Space) -> list[Parameters]:
    """All combinations, in the order in which the parameters are named. `errors.InvalidOption`."""
    for name, values in space.items():
        if isinstance(values, Range):
            raise InvalidOption(
                f"parameters: {name} is a range, which has no grid. List values, or use method=random or tpe.",
                where="parameters",
            )
    lists = [values for values in space.values() if not isinstance(values, Range)]
    count = math.prod(len(values) for values in lists)
    if count > MOST_RUNS:
        raise InvalidOption(
            f"parameters: the grid has {count} combinations, and a sweep makes at most {MOST_RUNS} runs. "
            "List fewer values, or use method=random or tpe with `runs`.",
            where="parameters",
        )
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]


def at_random(space: Space, runs: int, seed: int) -> list[Parameters]:
    """Different ones while there are different ones, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311  no secret
    found: list[Parameters] = []
    for _ in range(MOST_RUNS * 20):
        one = {name: _drawn(draw, values) for name, values in space.items()}
        if one not in found:
            found.append(one)
        if len(found) == runs:
            break
    return found


def _drawn(draw: random.Random, values: Range | Choices) -> Value:
    if not isinstance(values, Range):
        return draw.choice(values)
    if values.log:
        value = math.exp(draw.uniform(math.log(values.low), math.log(values.high)))
    else:
        value = draw.uniform(values.low, values.high)
    return round(value) if values.is_whole else _short(value, values)


def _short(value: float, bounds: Range) -> float:
    """Four digits that count, still within the bounds."""
    return min(max(float(f"{value:.4g}"), float(bounds.low)), float(bounds.high))


def promising(
    space: Space, tried: Sequence[tuple[Mapping[str, Any], float | None]], seed: int
) -> Parameters:
    """What Optuna's tree-structured Parzen estimator would try after these; each has its loss, or None if it failed."""
    import optuna  # takes most of a second

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            seed=seed + len(tried), n_startup_trials=min(10, 3 + len(space))
        )
    )
    distributions = {name: _distribution(values) for name, values in space.items()}
    for parameters, loss in tried:
        state = optuna.trial.TrialState.FAIL if loss is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(parameters), distributions=distributions, value=loss, state=state
            )
        )
    trial = study.ask(distributions)
    return {
        name: _short(value, bounds)
        if isinstance(bounds := space[name], Range) and not bounds.is_whole
        else value
        for name, value in trial.params.items()
    }


def _distribution(values: Range | Choices) -> Any:
    import optuna

    if not isinstance(values, Range):
        return optuna.distributions.CategoricalDistribution(values)
    if values.is_whole:
        return optuna.distributions.IntDistribution(int(values.low), int(values.high), values.log)
    return optuna.distributions.FloatDistribution(values.low, values.high, values.log)
