"""Checked options in llama.cpp's words."""

from typing import Any

from api.errors import InvalidOption
from api.runtime import Options
from api.runtime.options import SAMPLING


def as_body(options: Options) -> dict[str, Any]:
    """What llama.cpp's server is sent; what is unset is left to it. `/completion` and the chat call the likeliest
    tokens by different names, and neither tells any when asked for none.
    """
    body = {
        **{name: getattr(options, name) for name in SAMPLING},
        "stop": list(options.stop) if options.stop else None,
        "json_schema": options.json_schema,
        "logit_bias": list(options.logit_bias.items()) if options.logit_bias else None,
    }
    if options.logprobs is not None:
        most = max(options.logprobs, 1)
        body |= {"logprobs": True, "top_logprobs": most, "n_probs": most}
    return {name: value for name, value in body.items() if value is not None}


def require_tokens(options: Options, vocabulary: int) -> None:
    """`InvalidOption` for ids that llama.cpp would pass over."""
    if wrong := [token for token in options.logit_bias or () if token >= vocabulary]:
        raise InvalidOption(
            f"logit_bias: {wrong[0]} is no token of this model, whose ids end at {vocabulary - 1}.",
            where="logit_bias",
        )
