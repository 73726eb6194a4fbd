"""One conversation with a loaded child: how it is sent, its exact tokens, and the streamed answer in pieces."""

import json
import re
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from api.errors import BackEndFailed, InvalidOption
from api.runtime import FinishReason, Message, Options, Piece, TokenLogprob, Usage
from api.runtime.chunks import SILENCE
from api.runtime.images import parts
from api.runtime.llama_cpp.body import as_body
from api.runtime.llama_cpp.chunks import read_chunk, stopped_at
from api.runtime.llama_cpp.client import LlamaClient
from api.runtime.tools import Calls, Tool, as_openai

_NOTHING_CHOSEN = Options()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as it is sent. Only where its tokens are sent themselves are they known already."""

    path: str
    body: Mapping[str, Any]
    tokens: int | None = None


def require_literal(
    messages: Sequence[Message], tools: Sequence[Tool], markers: frozenset[str]
) -> None:
    """`InvalidOption` for a control token where it cannot be sent as mere text: in what a template writes in its own
    way, and anywhere in a conversation that shows images, or whose answer llama.cpp reads for calls.
    """
    called = [text for m in messages for c in m.tool_calls for text in (c.name, c.arguments)]
    texts = [json.dumps(tools, ensure_ascii=False), *called]
    shows = any(message.images for message in messages)
    texts += [message.content for message in messages] if tools or shows else []
    if found := next((marker for marker in markers for text in texts if marker in text), ""):
        raise InvalidOption(
            f"messages: {found!r} is a command to this model, and where tools or images are used it cannot be "
            "said as text. Take it out.",
            where="messages",
        )


async def prompt(
    client: LlamaClient,
    messages: Sequence[Message],
    markers: frozenset[str],
    template: str = "",
    options: Options = _NOTHING_CHOSEN,
    tools: Sequence[Tool] = (),
) -> Prompt:
    """A conversation, ready to be sent. The template's control tokens in what people wrote stay mere text. Where an
    answer is to be JSON and nothing else, it is not parsed either: that would let blanks come first; nor where it may
    end at a token, for of a parsed one no tokens are told.
    """
    shows = any(message.images for message in messages)
    if options.stop_token_ids and (tools or shows):
        raise InvalidOption(
            "stop_token_ids: with tools or images this model's answer ends by itself. Leave one of both out.",
            where="stop_token_ids",
        )
    body: dict[str, Any] = {"messages": [_turn(message) for message in messages]}
    if tools:
        body["tools"] = list(tools)
    is_marked = any(marker in message.content for message in messages for marker in markers)
    thinks = False if is_marked or options.stop_token_ids else options.think
    if thinks is not None and "think" in template:
        body["chat_template_kwargs"] = {"enable_thinking": thinks}
    is_only_json = options.json_schema is not None and options.think is False and not tools
    if not shows and (is_marked or is_only_json or options.stop_token_ids):
        ids = await _tokens_with_literal_contents(client, body, messages)
        return Prompt("/completion", {"prompt": ids}, len(ids))
    return Prompt("/v1/chat/completions", {**body, "stream_options": {"include_usage": True}})


async def raw_prompt(client: LlamaClient, text: str) -> Prompt:
    """A text as it stands, as tokens of plain text."""
    (ids,) = await client.tokenize([text], add_special=True)
    if not ids:
        raise InvalidOption("prompt: this model cannot begin with nothing.", where="prompt")
    return Prompt("/completion", {"prompt": ids}, len(ids))


async def count(client: LlamaClient, asked: Prompt) -> int:
    """Exactly the tokens of a prompt, by the model's own template and tokenizer."""
    return await client.count(asked.body) if asked.tokens is None else asked.tokens


async def answer(
    client: LlamaClient, asked: Prompt, options: Options, max_tokens: int
) -> AsyncGenerator[Piece, None]:
    """The pieces of the answer; the last one carries the usage."""
    body = {**as_body(options), **asked.body, "max_tokens": max_tokens, "return_progress": True}
    calls = Calls(1 if options.parallel_tool_calls is False else None)
    finish_reason: FinishReason | None = None
    held: tuple[TokenLogprob, ...] = ()  # of text that may turn out to be a stop
    async with aclosing(client.stream(asked.path, body)) as chunks:
        async for chunk in chunks:
            read = read_chunk(chunk, options.logprobs or 0)
            logprobs = (*held, *read.said.logprobs)
            held = () if read.said.text else logprobs
            said = replace(
                read.said,
                logprobs=logprobs if read.said.text else (),
                calls=calls.read(read.said.calls),
            )
            if tokens := stopped_at(chunk, options.stop_token_ids):
                yield replace(said, usage=Usage("stop", asked.tokens or 0, tokens))
                return
            finish_reason = read.finish_reason or finish_reason
            if read.counts and finish_reason:
                yield replace(said, usage=Usage(finish_reason, *read.counts))
                return
            if said != SILENCE:
                yield said
    raise BackEndFailed("The model's process ended its answer without saying why. Ask again.")


async def _tokens_with_literal_contents(
    client: LlamaClient, body: Mapping[str, Any], messages: Sequence[Message]
) -> list[int]:
    """Render place holders, then put each content in as tokens of plain text."""
    salt = secrets.token_hex(8)
    turns = [
        {**turn, "content": turn["content"] and f"{salt}x{n}x"}
        for n, turn in enumerate(body["messages"])
    ]
    parts = re.split(f"{salt}x([0-9]+)x", await client.render({**body, "messages": turns}))
    written = await client.tokenize(parts[::2], add_special=True, parse_special=True)
    said = await client.tokenize([messages[int(number)].content for number in parts[1::2]])
    ids = written[0]
    for content, after in zip(said, written[1:], strict=True):
        ids += [*content, *after]
    return ids


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        turn["content"] = parts(message)
    if message.tool_calls:
        turn["tool_calls"] = [as_openai(call) for call in message.tool_calls]
    if message.role == "tool":
        turn["tool_call_id"] = message.tool_call_id
    return turn
