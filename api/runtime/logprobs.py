"""Log-probabilities of tokens, out of the form that llama.cpp and Ollama share."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.runtime import TokenLogprob

LEAST = -9999.0
"""What stands for a probability of nothing, as in OpenAI's answers."""


def token_logprobs(told: Sequence[Mapping[str, Any]], most: int) -> tuple[TokenLogprob, ...]:
    """The tokens that say something (the end does not), each with at most so many in its place. Where several make up
    one letter, the last of them stands for all, with the letter's bytes.
    """
    return tuple(
        _token(one, tuple(_token(top) for top in (one.get("top_logprobs") or ())[:most]))
        for one in told
        if one["token"] or one.get("bytes")
    )


def _token(one: Mapping[str, Any], top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    """The end, and a part of a letter among what might have been said, have no bytes that are told."""
    logprob = max(float(one["logprob"]), LEAST)
    return TokenLogprob(str(one["token"]), logprob, tuple(one.get("bytes") or ()) or None, top)
