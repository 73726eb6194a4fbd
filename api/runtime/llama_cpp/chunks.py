"""The chunks of llama.cpp's streams, of `/completion` and of its chat, read into pieces of ours."""

from collections.abc import Collection, Mapping
from typing import Any, get_args

from api.errors import BackEndFailed
from api.runtime import CallPiece, FinishReason, Piece
from api.runtime.chunks import Chunk
from api.runtime.logprobs import token_logprobs


def read_chunk(chunk: Mapping[str, Any], alternatives: int) -> Chunk:
    """A chunk of either kind, each token with at most so many in its place."""
    try:
        read = _of_chat if "choices" in chunk else _of_completion
        return read(chunk, alternatives)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BackEndFailed("The model's process sent a piece that cannot be read.") from error


def stopped_at(chunk: Mapping[str, Any], ids: Collection[int] | None) -> int:
    """How many tokens an answer has with the one of a chunk of `/completion` that ends it; 0 where it goes on."""
    if not ids or not any(token in ids for token in chunk.get("tokens") or ()):
        return 0
    return int(chunk["tokens_predicted"])


def _of_completion(chunk: Mapping[str, Any], alternatives: int) -> Chunk:
    told = chunk.get("completion_probabilities") or ()
    said = Piece(chunk["content"], logprobs=token_logprobs(told, alternatives))
    if not chunk["stop"]:
        return Chunk(said)
    reason: FinishReason = "length" if chunk["stop_type"] == "limit" else "stop"
    return Chunk(said, reason, (chunk["tokens_evaluated"], chunk["tokens_predicted"]))


def _of_chat(chunk: Mapping[str, Any], alternatives: int) -> Chunk:
    usage = chunk.get("usage")
    counts = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
    if not chunk["choices"]:
        return Chunk(counts=counts)
    choice = chunk["choices"][0]
    told = (choice.get("logprobs") or {}).get("content") or ()
    delta = choice["delta"]
    text = delta.get("content") or ""
    said = Piece(
        text,
        reasoning=delta.get("reasoning_content") or "",
        calls=tuple(_call(one) for one in delta.get("tool_calls") or ()),
        logprobs=token_logprobs(told if text else (), alternatives),  # else none of the answer's
    )
    reason = choice["finish_reason"]
    return Chunk(said, reason if reason in get_args(FinishReason) else None, counts)


def _call(told: Mapping[str, Any]) -> CallPiece:
    function = told.get("function") or {}
    return CallPiece(
        int(told["index"]),
        told.get("id") or "",
        function.get("name") or "",
        function.get("arguments") or "",
    )
