"""Checks what a sweep is asked to vary, before anything is queued."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from api.errors import InvalidOption
from api.sweeps.search import MOST_RUNS, Method, Parameters, Range, Space, at_random, grid
from finetune.job.spec import TrainingParameters

NOT_VARIED = frozenset({"method", "export", "checkpoint", "priority", "quantization"})
"""What no sweep varies: its runs end when they have trained, and are compared by what that came to."""


def planned(method: Method, space: Space, runs: int, seed: int) -> list[Parameters]:
    """The runs that are known beforehand; of TPE none but one that begins. `errors.InvalidOption`."""
    if not space:
        raise InvalidOption("parameters: Name at least one to vary.", where="parameters")
    if method == "grid":
        return grid(space)
    return at_random(space, min(runs, MOST_RUNS) if method == "random" else 1, seed)


def check(space: Space, settings: Mapping[str, Any]) -> None:
    """Every value that can come up must be one that a job takes. `errors.InvalidOption`."""
    known = TrainingParameters.model_fields.keys() - NOT_VARIED
    for name in space:
        if name not in known:
            raise InvalidOption(
                f"parameters: {name!r} cannot be varied. Known: {', '.join(sorted(known))}.",
                where="parameters",
            )
        if name in settings:
            raise InvalidOption(
                f"{name} is both varied and set. Leave it out of `settings`.", where="settings"
            )
    if unknown := settings.keys() - TrainingParameters.model_fields.keys():
        raise InvalidOption(
            f"settings: {sorted(unknown)[0]!r} is no parameter of a job.", where="settings"
        )
    for name, values in space.items():
        if not isinstance(values, Range) and not values:
            raise InvalidOption(f"parameters: {name} has no value to try.", where="parameters")
    for parameters in _ends(space):
        try:
            TrainingParameters.model_validate({**settings, **parameters})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            where = "parameters" if first["loc"] and first["loc"][0] in space else "settings"
            raise InvalidOption(f"{field}: {first['msg']}.", where=where) from error


def _ends(space: Space) -> Iterator[Parameters]:
    """Each value of each list and both ends of each range, with the first of all others."""
    values = {
        name: (one.low, one.high) if isinstance(one, Range) else one for name, one in space.items()
    }
    first = {name: some[0] for name, some in values.items()}
    yield first
    for name, some in values.items():
        for value in some[1:]:
            yield {**first, name: value}


def plain(space: Space) -> dict[str, Any]:
    """The space as JSON holds it."""
    return {
        name: one.model_dump() if isinstance(one, Range) else list(one)
        for name, one in space.items()
    }
