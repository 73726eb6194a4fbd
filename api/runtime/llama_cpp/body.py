"""Checked options in llama.cpp's words."""

from typing import Any

from api.runtime import Options
from api.runtime.options import SAMPLING


def as_body(options: Options) -> dict[str, Any]:
    """What llama.cpp's server is sent; what is unset is left to it."""
    body = {
        **{name: getattr(options, name) for name in SAMPLING},
        "stop": list(options.stop) if options.stop else None,
        "json_schema": options.json_schema,
    }
    return {name: value for name, value in body.items() if value is not None}
