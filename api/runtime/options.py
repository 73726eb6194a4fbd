"""Which options a runtime may be given, within which ranges. What is not named here never reaches a back end."""

from collections.abc import Mapping

from api.errors import InvalidOption
from api.runtime import ModelInfo, Options
from api.runtime.schemas import CheckedSchema, check_schema
from api.runtime.tools import check_tools

MAX_SEED = 2**32 - 2  # the number above means "random" to llama.cpp
SAMPLING: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (0.0, 1.0),
    "top_k": (0, 1_000_000),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.1, 10.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "seed": (0, MAX_SEED),
}
"""Options that every back end calls as we do, each with its range; whole numbers between whole numbers."""
MAX_LOGPROBS = 20
MAX_BIAS = 100
MAX_BIASED_TOKENS = 1024
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 200
MIN_CONTEXT = 16
MAX_STOP_TOKENS = 64


def check_options(options: Options, trained_context: int) -> None:
    """`InvalidOption` for what is out of range, or what no runtime can do."""
    for name, (least, most) in SAMPLING.items():
        _within(name, getattr(options, name), least, most)
    _within_context("max_tokens", options.max_tokens, 1, trained_context)
    _within_context("num_ctx", options.num_ctx, MIN_CONTEXT, trained_context)
    _within("logprobs", options.logprobs, 0, MAX_LOGPROBS)
    _check_bias(options.logit_bias or {})
    check_tools(options)
    stops = options.stop or ()
    if len(stops) > MAX_STOPS or not all(0 < len(s) <= MAX_STOP_CHARACTERS for s in stops):
        raise InvalidOption(
            f"stop: at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters.",
            where="stop",
        )
    if not isinstance(options.json_schema, CheckedSchema | None):
        check_schema(options.json_schema, "json_schema", "response_format")


def check_taken(options: Options, model: ModelInfo) -> None:
    """`InvalidOption` for what only some models take, and this one does not."""
    ids = options.stop_token_ids or ()
    if ids and not model.stops_at_tokens:
        raise InvalidOption(
            f"stop_token_ids: what runs {model.name!r} tells no ids of tokens. Use `stop`, with texts.",
            where="stop_token_ids",
        )
    if len(ids) > MAX_STOP_TOKENS or min(ids, default=0) < 0:
        raise InvalidOption(
            f"stop_token_ids: at most {MAX_STOP_TOKENS} ids, each 0 or more.",
            where="stop_token_ids",
        )
    if model.vocabulary and max(ids, default=0) >= model.vocabulary:
        raise InvalidOption(
            f"stop_token_ids: {max(ids)} is no token of {model.name!r}, whose ids end at {model.vocabulary - 1}.",
            where="stop_token_ids",
        )
    if unknown := sorted({*(options.extra or {})} - model.extras):
        known = ", ".join(sorted(model.extras)) or "none"
        raise InvalidOption(
            f"extra: what runs {model.name!r} is not allowed {unknown[0][:80]!r}. Allowed is what the dialect of its "
            f"back end adds: {known}.",
            where="extra",
        )


def _within(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:  # NaN is in no range
        raise InvalidOption.at(name, f"{value} is not between {least} and {most}.")


def _within_context(name: str, value: int | None, least: int, trained: int) -> None:
    if value is not None and value > trained:
        raise InvalidOption(
            f"{name}: {value} is more than the model's context of {trained} tokens.", where=name
        )
    _within(name, value, least, trained)


def _check_bias(bias: Mapping[int, float]) -> None:
    if len(bias) > MAX_BIASED_TOKENS or not all(
        token >= 0 and -MAX_BIAS <= value <= MAX_BIAS for token, value in bias.items()
    ):
        raise InvalidOption(
            f"logit_bias: at most {MAX_BIASED_TOKENS} token ids, each with a number from -{MAX_BIAS} to {MAX_BIAS}.",
            where="logit_bias",
        )
