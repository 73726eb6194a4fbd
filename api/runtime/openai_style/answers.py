"""What comes over OpenAI's wire, read into values of ours: streams of either kind, and vectors."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from api.errors import BackEndFailed
from api.runtime import CallPiece, FinishReason, Options, Piece, TokenCount, TokenLogprob, Usage
from api.runtime.chunks import SILENCE, Chunk
from api.runtime.lengths import estimated
from api.runtime.logprobs import LEAST, token_logprobs
from api.runtime.tools import Calls

_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
"""Every other one is an end like any."""


async def pieces_of(
    chunks: AsyncGenerator[Mapping[str, Any], None],
    options: Options,
    count: Callable[[], Awaitable[TokenCount]],
) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer; the last one carries the usage. Where the server tells none, the prompt is counted by
    `count` and the answer estimated.
    """
    calls = Calls(1 if options.parallel_tool_calls is False else None)
    reason: FinishReason | None = None
    counts: tuple[int, int] | None = None
    text = ""
    async with aclosing(chunks):
        async for chunk in chunks:
            read = read_chunk(chunk, options.logprobs or 0)
            said = replace(read.said, calls=calls.read(read.said.calls))
            reason, counts = read.finish_reason or reason, read.counts or counts
            text += said.text + said.reasoning + "".join(call.arguments for call in said.calls)
            if said != SILENCE:
                yield said
    if reason is None:
        raise BackEndFailed("The back end broke off its answer without saying why. Ask again.")
    if len(calls) and reason == "stop":
        reason = "tool_calls"
    if counts is None:
        prompt = (await count()).number
        yield Piece("", Usage(reason, prompt, estimated([text])[0], exact=False))
    else:
        yield Piece("", Usage(reason, *counts))


def vectors_of(answer: Mapping[str, Any], count: int) -> list[list[float]]:
    """The normalised vectors of so many texts, in their order."""
    try:
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        vectors = [_normalised([float(one) for one in row["embedding"]]) for row in rows]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BackEndFailed("The back end gave vectors that cannot be read.") from error
    if len(vectors) != count:
        raise BackEndFailed(f"The back end made {len(vectors)} vectors of {count} texts.")
    return vectors


def read_chunk(chunk: Mapping[str, Any], alternatives: int) -> Chunk:
    """A chunk, each token with at most so many in its place; `errors.BackEndFailed` for what cannot be read."""
    try:
        return _read(chunk, alternatives)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise BackEndFailed("The model's server sent a piece that cannot be read.") from error


def _read(chunk: Mapping[str, Any], alternatives: int) -> Chunk:
    usage = chunk.get("usage")
    counts = None
    if usage:
        counts = (int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0))
    choices = chunk.get("choices") or ()
    if not choices:
        return Chunk(counts=counts)
    choice = choices[0]
    delta = choice.get("delta") or {}
    text = delta.get("content") or choice.get("text") or ""
    said = Piece(
        text,
        reasoning=delta.get("reasoning_content") or delta.get("reasoning") or "",
        calls=tuple(_call(number, one) for number, one in enumerate(delta.get("tool_calls") or ())),
        logprobs=_logprobs(choice.get("logprobs") or {}, alternatives),
    )
    reason = choice.get("finish_reason")
    return Chunk(said, _REASONS.get(reason, "stop") if reason else None, counts)


def _call(number: int, told: Mapping[str, Any]) -> CallPiece:
    function = told.get("function") or {}
    index = told.get("index")
    return CallPiece(
        number if index is None else int(index),
        told.get("id") or "",
        function.get("name") or "",
        function.get("arguments") or "",
    )


def _logprobs(told: Mapping[str, Any], most: int) -> tuple[TokenLogprob, ...]:
    """Those of a conversation's form, or of the older one of texts."""
    if "tokens" not in told:
        return token_logprobs(told.get("content") or (), most)
    tops = told.get("top_logprobs") or [{}] * len(told["tokens"])
    return tuple(
        _token(token, logprob, tuple(_token(*one) for one in (top or {}).items())[:most])
        for token, logprob, top in zip(told["tokens"], told["token_logprobs"], tops, strict=True)
    )


def _token(token: str, logprob: float | None, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    return TokenLogprob(
        token, max(LEAST if logprob is None else logprob, LEAST), tuple(token.encode()), top
    )


def _normalised(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        raise ValueError("a vector without length")
    return [one / length for one in vector]
