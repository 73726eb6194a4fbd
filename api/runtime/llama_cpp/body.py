"""Checked options in llama.cpp's words."""

from typing import Any

from api.runtime import Options


def as_body(options: Options) -> dict[str, Any]:
    """What llama.cpp's server is sent; what is unset is left to it."""
    body = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "min_p": options.min_p,
        "repeat_penalty": options.repeat_penalty,
        "seed": options.seed,
        "stop": list(options.stop) if options.stop else None,
        "json_schema": options.json_schema,
    }
    return {name: value for name, value in body.items() if value is not None}
