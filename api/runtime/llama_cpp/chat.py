"""One conversation with a loaded child: how it is sent, its exact tokens, and the streamed answer in pieces."""

import re
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, get_args

from api.errors import BackEndFailed
from api.runtime import FinishReason, Message, Piece, Usage
from api.runtime.llama_cpp.client import LlamaClient


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as it is sent. Only where its tokens are sent themselves are they known already."""

    path: str
    body: Mapping[str, Any]
    tokens: int | None = None


async def prompt(
    client: LlamaClient, messages: Sequence[Message], markers: frozenset[str]
) -> Prompt:
    """A conversation, ready to be sent. The template's control tokens in what people wrote stay mere text."""
    if any(marker in message.content for message in messages for marker in markers):
        ids = await _tokens_with_literal_contents(client, messages)
        return Prompt("/completion", {"prompt": ids}, len(ids))
    turns = [{"role": message.role, "content": message.content} for message in messages]
    body = {"messages": turns, "stream_options": {"include_usage": True}}
    return Prompt("/v1/chat/completions", body)


async def count(client: LlamaClient, asked: Prompt) -> int:
    """Exactly the tokens of a prompt, by the model's own template and tokenizer."""
    return await client.count(asked.body["messages"]) if asked.tokens is None else asked.tokens


async def answer(
    client: LlamaClient, asked: Prompt, options: Mapping[str, Any], max_tokens: int
) -> AsyncGenerator[Piece, None]:
    """The pieces of the answer; the last one carries the usage."""
    body = {**asked.body, **options, "max_tokens": max_tokens, "return_progress": True}
    finish_reason: FinishReason | None = None
    async with aclosing(client.stream(asked.path, body)) as chunks:
        async for chunk in chunks:
            text, finished, usage = _read(chunk)
            finish_reason = finished or finish_reason
            if usage and finish_reason:
                yield Piece(text, Usage(finish_reason, *usage))
                return
            if text:
                yield Piece(text)
    raise BackEndFailed("The model's process ended its answer without saying why. Ask again.")


def _read(chunk: Mapping[str, Any]) -> tuple[str, FinishReason | None, tuple[int, int] | None]:
    """Text, finish reason and usage of a chunk of either kind."""
    try:
        if "choices" not in chunk:  # /completion
            if not chunk["stop"]:
                return chunk["content"], None, None
            reason: FinishReason = "length" if chunk["stop_type"] == "limit" else "stop"
            return chunk["content"], reason, (chunk["tokens_evaluated"], chunk["tokens_predicted"])
        text, finished = "", None
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            finished = choice["finish_reason"]
        usage = chunk.get("usage")
        counts = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
        return text, finished if finished in get_args(FinishReason) else None, counts
    except (KeyError, TypeError, AttributeError) as error:
        raise BackEndFailed("The model's process sent a piece that cannot be read.") from error


async def _tokens_with_literal_contents(
    client: LlamaClient, messages: Sequence[Message]
) -> list[int]:
    """Render place holders, then put each content in as tokens of plain text."""
    salt = secrets.token_hex(8)
    turns = [{"role": m.role, "content": f"{salt}x{n}x"} for n, m in enumerate(messages)]
    parts = re.split(f"{salt}x([0-9]+)x", await client.render(turns))
    written = await client.tokenize(parts[::2], add_special=True, parse_special=True)
    said = await client.tokenize([messages[int(number)].content for number in parts[1::2]])
    ids = written[0]
    for content, after in zip(said, written[1:], strict=True):
        ids += [*content, *after]
    return ids
