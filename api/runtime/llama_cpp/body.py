"""Checked options in llama.cpp's words."""

from typing import Any

from api.errors import InvalidOption
from api.runtime import Options
from api.runtime.options import SAMPLING

_CLOSE: dict[str, Any] = {
    "x-guidance": {"whitespace_flexible": False, "coerce_one_of": True, "lenient": True}
}
"""For `/completion`, which llguidance serves: no blanks, for a weak model goes on with them for ever, and what of a
schema is not known does not take away all of it. The chat reads none of this.
"""


def as_body(options: Options) -> dict[str, Any]:
    """What llama.cpp's server is sent; what is unset is left to it. `/completion` and the chat call the likeliest
    tokens by different names, and neither tells any when asked for none.
    """
    body = {
        **{name: getattr(options, name) for name in SAMPLING},
        "stop": list(options.stop) if options.stop else None,
        "json_schema": None if options.json_schema is None else {**options.json_schema, **_CLOSE},
        "logit_bias": list(options.logit_bias.items()) if options.logit_bias else None,
    }
    if options.logprobs is not None:
        most = max(options.logprobs, 1)
        body |= {"logprobs": True, "top_logprobs": most, "n_probs": most}
    if options.tools:
        body["parallel_tool_calls"] = options.parallel_tool_calls is not False
    return {name: value for name, value in body.items() if value is not None}


def require_tokens(options: Options, vocabulary: int) -> None:
    """`InvalidOption` for ids that llama.cpp would pass over, and for parameters of another back end."""
    for name in ("logit_bias", "stop_token_ids"):
        if wrong := [id for id in getattr(options, name) or () if not 0 <= id < vocabulary]:
            raise InvalidOption(
                f"{name}: {wrong[0]} is no token of this model, whose ids end at {vocabulary - 1}.",
                where=name,
            )
    if options.extra:
        raise InvalidOption("extra: the home runtime takes none.", where="extra")
