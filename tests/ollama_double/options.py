"""What a request may ask for, in Ollama's words: options, durations, thinking, formats."""

import json
import re
from typing import Any

from tests.ollama_double.manifests import Model
from tests.ollama_double.schemas import check_schema
from tests.ollama_double.wire import Failure

_TYPES = {
    **dict.fromkeys(
        (
            *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread"),
            *("num_keep", "seed", "num_predict", "top_k", "repeat_last_n"),
        ),
        "integer",
    ),
    **dict.fromkeys(
        (
            "top_p",
            "min_p",
            "typical_p",
            "temperature",
            "repeat_penalty",
            "presence_penalty",
            "frequency_penalty",
        ),
        "float32",
    ),
    "use_mmap": "boolean",
    "stop": "array",
}
_DEFAULTS: dict[str, Any] = {
    "num_predict": -1,
    "num_keep": 4,
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": -1,
    "num_thread": 0,
    "stop": [],
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 10  # contexts


def merged(model: Model, asked: dict[str, Any] | None, default_context: int) -> dict[str, Any]:
    """The model's options under those of the request; wrong types are refused, unknown names are not."""
    options = {**_DEFAULTS, "num_ctx": default_context}
    for source in (model.parameters, asked or {}):
        options |= {k: _typed(k, v) for k, v in source.items() if k in _TYPES and v is not None}
    trained = model.gguf.context_length
    options["num_ctx"] = max(4, min(options["num_ctx"], trained or options["num_ctx"]))
    return options


def _typed(name: str, value: Any) -> Any:
    kind = _TYPES[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "integer" and is_number:
        return int(value)
    if kind == "float32" and is_number:
        return float(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "array" and isinstance(value, list):
        if not all(isinstance(each, str) for each in value):
            raise Failure(500, f'option "{name}" must be of an array of strings')
        return value
    raise Failure(500, f'option "{name}" must be of type {kind}')


def for_llama(options: dict[str, Any]) -> dict[str, Any]:
    """Options as llama.cpp takes them. Without a limit an answer may fill some contexts."""
    names = [
        name
        for name in _DEFAULTS
        if name not in ("num_thread", "num_predict", "num_keep", "typical_p")
    ]
    most = _LONGEST * options["num_ctx"]
    predict = options["num_predict"]
    return {
        **{name: options[name] for name in names},
        "typical_p": options["typical_p"],
        "n_keep": options["num_keep"],
        "n_predict": predict if 0 < predict < most else most,
        "cache_prompt": True,
    }


def seconds(value: Any) -> float | None:
    """A `keep_alive`; below zero is for ever."""
    if value is None:
        return None
    number = float(value) if isinstance(value, int | float) else _duration(str(value))
    return float("inf") if number < 0 else number


def _duration(text: str) -> float:
    """Go's ParseDuration."""
    shown = json.dumps(text, ensure_ascii=False)
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0.0
    total = 0.0
    while rest or total == 0:
        found = re.match(r"(\d+\.?\d*|\.\d+)([^\d.]*)", rest)
        if not found:
            raise Failure(400, f"time: invalid duration {shown}")
        number, unit = found.groups()
        if not unit:
            raise Failure(400, f"time: missing unit in duration {shown}")
        if unit not in _UNITS:
            unknown = json.dumps(unit, ensure_ascii=False)
            raise Failure(400, f"time: unknown unit {unknown} in duration {shown}")
        total += float(number) * _UNITS[unit]
        rest = rest[found.end() :]
        if not rest:
            break
    return -total if text.startswith("-") else total


def check_think(value: Any) -> None:
    """Refuse what is neither a flag nor a level."""
    if (
        value is not None
        and not isinstance(value, bool)
        and value not in ("high", "medium", "low", "max")
    ):
        shown = json.dumps(value)
        levels = '(must be "high", "medium", "low", "max", true, or false)'
        raise Failure(400, f"invalid think value: {shown} {levels}")


def check_format(value: Any) -> dict[str, Any] | str | None:
    """A format: nothing, `json` or a schema."""
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        check_schema(value)
        return value
    if value == "json":
        return "json"
    shown = json.dumps(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    wanted = 'expected "json" or a valid JSON Schema object'
    raise Failure(500, f"invalid format: {shown}; {wanted}")
