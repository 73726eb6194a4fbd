"""Options in Ollama's words: as it is sent them, and as it keeps them in a model (PARAMETER)."""

import ast
import math
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, get_args

from api.errors import InvalidOption
from api.runtime import Options, Role
from api.runtime.options import SAMPLING, check_options

Parameters = dict[str, list[str]]
"""What a model keeps: the texts that follow each name, in order."""
NO_PENALTY = 1.0
"""The `repeat_penalty` that each model of ours is made with, where nobody chose one."""
_NOT_KEPT = (
    *("json_schema", "tools", "tool_choice", "logprobs", "logit_bias", "think"),
    *("stop_token_ids", "extra"),
)
_ROLE = re.compile(r"\{\{-?\s*[$\w]*\.Role\s*-?\}\}")


def as_parameters(options: Options, marks: Iterable[str] = ()) -> dict[str, Any]:
    """What is set, as PARAMETERs. Ollama replaces the whole list of stops, so a template's `marks` go along."""
    for name in _NOT_KEPT:
        if getattr(options, name) is not None:
            raise InvalidOption(f"{name}: Ollama keeps none with a model. Send it with a request.")
    stops = None if options.stop is None else [*options.stop, *marks]
    named = {
        **{name: getattr(options, name) for name in SAMPLING},
        "num_predict": options.max_tokens,
        "num_ctx": options.num_ctx,
        "stop": None if stops is None else list(dict.fromkeys(stops)),
    }
    return {name: value for name, value in named.items() if value is not None}


def parsed(text: str) -> Parameters:
    """The lines of `parameters` in an answer of `/api/show`: a name, blanks, a value; texts in quotes."""
    found: Parameters = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if value:
            found.setdefault(name, []).append(_unquoted(value.strip()))
    return found


def is_mark(stop: str, template: str) -> bool:
    """Whether a stop belongs to the template, such as `<|im_end|>`, and not to the persona."""
    if not any(character in "<>[]|#" for character in stop):
        return False
    return stop in template or any(stop in _ROLE.sub(role, template) for role in get_args(Role))


def as_options(parameters: Parameters, template: str, context_length: int) -> Options:
    """A model's own options, without its template's marks. Ollama caps a context that is too large; what no request
    may ask for is left out, for the server keeps it without us.
    """
    stops = tuple(stop for stop in parameters.get("stop", ()) if not is_mark(stop, template))
    num_ctx = _whole(parameters, "num_ctx")
    num_predict = _whole(parameters, "num_predict")
    sampling: dict[str, Any] = {
        name: _whole(parameters, name) if isinstance(least, int) else _number(parameters, name)
        for name, (least, _) in SAMPLING.items()
    }
    if sampling["repeat_penalty"] == NO_PENALTY:
        del sampling["repeat_penalty"]
    return _allowed(
        Options(
            **sampling,
            max_tokens=min(num_predict, context_length) if num_predict else None,
            num_ctx=min(num_ctx, context_length) if num_ctx else None,
            stop=stops or None,
        ),
        context_length,
    )


def _allowed(options: Options, context_length: int) -> Options:
    """Those of the options that are in range."""
    for field in fields(options):
        try:
            check_options(Options(**{field.name: getattr(options, field.name)}), context_length)
        except InvalidOption:
            options = replace(options, **{field.name: None})
    return options


def _number(parameters: Parameters, name: str) -> float | None:
    try:
        number = float(parameters[name][-1])
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _whole(parameters: Parameters, name: str) -> int | None:
    number = _number(parameters, name)
    return None if number is None else int(number)


def _unquoted(value: str) -> str:
    """A text as Go quotes it, which Python reads as its own."""
    if not value.startswith('"'):
        return value
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value.strip('"')
