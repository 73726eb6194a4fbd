"""Options in Ollama's words: as it is sent them, and as it keeps them in a model (PARAMETER)."""

import ast
from collections.abc import Iterable
from typing import Any

from api.errors import InvalidOption
from api.runtime import Options

Parameters = dict[str, list[str]]
"""What a model keeps: the texts that follow each name, in order."""


def as_parameters(options: Options, marks: Iterable[str] = ()) -> dict[str, Any]:
    """What is set, as PARAMETERs. Ollama replaces the whole list of stops, so a template's `marks` go along."""
    if options.json_schema is not None:
        raise InvalidOption("json_schema: Ollama keeps none with a model. Send it with a request.")
    stops = [*options.stop, *marks] if options.stop else None
    named = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": options.seed,
        "num_predict": options.max_tokens,
        "num_ctx": options.num_ctx,
        "stop": list(dict.fromkeys(stops)) if stops else None,
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
    return stop in template and any(character in "<>[]|#" for character in stop)


def as_options(parameters: Parameters, template: str, context_length: int) -> Options:
    """A model's own options, without its template's marks. Ollama caps a context that is too large."""
    stops = tuple(stop for stop in parameters.get("stop", ()) if not is_mark(stop, template))
    num_ctx = _number(parameters, "num_ctx")
    num_predict = _number(parameters, "num_predict")
    seed = _number(parameters, "seed")
    return Options(
        temperature=_number(parameters, "temperature"),
        top_p=_number(parameters, "top_p"),
        seed=int(seed) if seed is not None and seed >= 0 else None,
        max_tokens=int(num_predict) if num_predict and num_predict > 0 else None,
        num_ctx=min(int(num_ctx), context_length) if num_ctx else None,
        stop=stops or None,
    )


def _number(parameters: Parameters, name: str) -> float | None:
    try:
        return float(parameters[name][-1])
    except (KeyError, ValueError):
        return None


def _unquoted(value: str) -> str:
    """A text as Go quotes it, which Python reads as its own."""
    if not value.startswith('"'):
        return value
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value.strip('"')
