"""One conversation with a loaded child: how it is sent, its exact tokens, and the streamed answer in pieces."""

import re
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from api.errors import BackEndFailed, InvalidOption
from api.runtime import FinishReason, Message, Options, Piece, TokenLogprob, Usage
from api.runtime.llama_cpp.body import as_body
from api.runtime.llama_cpp.chunks import SILENCE, read_chunk
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


async def raw_prompt(client: LlamaClient, text: str) -> Prompt:
    """A text as it stands, as tokens of plain text."""
    (ids,) = await client.tokenize([text], add_special=True)
    if not ids:
        raise InvalidOption("prompt: this model cannot begin with nothing.", where="prompt")
    return Prompt("/completion", {"prompt": ids}, len(ids))


async def count(client: LlamaClient, asked: Prompt) -> int:
    """Exactly the tokens of a prompt, by the model's own template and tokenizer."""
    return await client.count(asked.body["messages"]) if asked.tokens is None else asked.tokens


async def answer(
    client: LlamaClient, asked: Prompt, options: Options, max_tokens: int
) -> AsyncGenerator[Piece, None]:
    """The pieces of the answer; the last one carries the usage."""
    body = {**asked.body, **as_body(options), "max_tokens": max_tokens, "return_progress": True}
    finish_reason: FinishReason | None = None
    held: tuple[TokenLogprob, ...] = ()  # of text that may turn out to be a stop
    async with aclosing(client.stream(asked.path, body)) as chunks:
        async for chunk in chunks:
            read = read_chunk(chunk, options.logprobs or 0)
            said = replace(read.said, logprobs=(*held, *read.said.logprobs))
            held = said.logprobs if not said.text else ()
            finish_reason = read.finish_reason or finish_reason
            if read.counts and finish_reason:
                logprobs = said.logprobs if said.text else ()
                yield replace(said, usage=Usage(finish_reason, *read.counts), logprobs=logprobs)
                return
            if replace(said, logprobs=()) != SILENCE:
                yield said
    raise BackEndFailed("The model's process ended its answer without saying why. Ask again.")


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
