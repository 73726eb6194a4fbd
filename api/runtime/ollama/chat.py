"""What a model of Ollama is asked, conversation or raw text: how it is sent, what it costs, the answer in pieces."""

import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from api.errors import BackEndFailed, InvalidOption, PromptTooLong, Unusable
from api.runtime import CallPiece, FinishReason, Message, Options, Piece, Usage
from api.runtime.chunks import SILENCE
from api.runtime.logprobs import token_logprobs
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.models import OllamaModel
from api.runtime.ollama.transport import JSONObject
from api.runtime.options import SAMPLING
from api.runtime.personas import as_read
from api.runtime.tools import Calls, arguments_of, names_called, offered


@dataclass(frozen=True, slots=True)
class Asked:
    """What is sent where."""

    path: str
    body: JSONObject


def readable(model: OllamaModel, messages: Sequence[Message]) -> list[Message]:
    """The conversation as it is sent, the persona's system prompt included. System turns stand first: before another
    one Ollama puts the persona's.
    """
    require_unicode([message.content for message in messages])
    return sorted(as_read(model.info, messages), key=lambda turn: turn.role != "system")


def require_unicode(texts: Sequence[str]) -> None:
    """`Unusable` for a text that cannot be sent."""
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        raise Unusable("The text holds half of a surrogate pair; send valid Unicode.") from error


def conversation(
    model: OllamaModel, turns: Sequence[Message], options: Options, context: int, keep_alive: float
) -> Asked:
    """A conversation, ready to be sent."""
    called = names_called(turns)
    body = {
        **_body(model, options, context, keep_alive),
        "messages": [_turn(turn, called) for turn in turns],
    }
    if tools := offered(options, model.info.capabilities):
        body["tools"] = list(tools)
    if model.thinks:
        body["think"] = bool(options.think)
    return Asked("/api/chat", body)


def raw_prompt(
    model: OllamaModel, text: str, options: Options, context: int, keep_alive: float
) -> Asked:
    """A text as it stands, ready to be sent."""
    require_unicode([text])
    if not text:
        raise InvalidOption("prompt: Ollama cannot begin with nothing.", where="prompt")
    body = {**_body(model, options, context, keep_alive), "prompt": text, "raw": True}
    return Asked("/api/generate", body)


def _body(model: OllamaModel, options: Options, context: int, keep_alive: float) -> dict[str, Any]:
    """What every call says. The context is always named and nothing is ever cut: Ollama would do it silently. It loads
    a model anew for another `num_ctx` or `shift` than the last, so a count has those of an answer.
    """
    if options.logit_bias:
        raise InvalidOption("logit_bias: Ollama has none.", where="logit_bias")
    stops = None if options.stop is None else [*options.stop, *model.marks]
    sampling = {name: getattr(options, name) for name in SAMPLING}
    chosen = {
        **{name: value for name, value in sampling.items() if value is not None},
        "num_ctx": context,
    }
    body: dict[str, Any] = {
        "model": model.name,
        "options": chosen if stops is None else {**chosen, "stop": stops},
        "truncate": False,
        "shift": False,
        "keep_alive": keep_alive,
    }
    if options.json_schema is not None:
        body["format"] = options.json_schema
    if options.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": options.logprobs}
    return body


async def count(client: OllamaClient, asked: Asked) -> int:
    """Exactly the tokens of a prompt, which Ollama tells only of one that it has read."""
    for most in (1, 16):  # an answer that ends within a letter ends without a count
        options = {**asked.body["options"], "temperature": 0, "num_predict": most}
        try:
            answer = await client.whole(asked.path, {**asked.body, "options": options})
        except PromptTooLong as error:
            return int(error.extra["prompt_tokens"])
        if answer.get("done") and "prompt_eval_count" in answer:
            return int(answer["prompt_eval_count"])
    raise BackEndFailed("Ollama does not say how many tokens the prompt has. Ask again.")


async def answer(
    client: OllamaClient, asked: Asked, options: Options, most: int
) -> AsyncGenerator[Piece, None]:
    """The pieces of the answer, of at most so many tokens; the last one carries the usage."""
    body = {**asked.body, "options": {**asked.body["options"], "num_predict": most}}
    calls = Calls(1 if options.parallel_tool_calls is False else None)
    async with aclosing(client.stream(asked.path, body)) as parts:
        async for part in parts:
            said = _read(part, options.logprobs or 0)
            if said.text and options.logprobs is not None and not said.logprobs:
                raise InvalidOption(
                    "logprobs: this Ollama tells none. Update it.", where="logprobs"
                )
            if said.calls:
                begun = len(calls)  # each line counts its own from 0
                told = [replace(call, index=begun + call.index) for call in said.calls]
                said = replace(said, calls=calls.read(told))
            if said.usage:
                yield replace(said, usage=_with_calls(said.usage, calls))
                return
            if said != SILENCE:
                yield said
    raise BackEndFailed(
        "Ollama broke the answer off. It does so after many equal pieces in a row and at broken "
        "characters: ask again, with another temperature or another schema."
    )


def _turn(message: Message, called: Mapping[str, str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        turn["images"] = [base64.b64encode(image).decode() for image in message.images]
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": arguments_of(call)}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        turn["tool_call_id"] = message.tool_call_id
        turn["tool_name"] = called.get(message.tool_call_id, "")
    return turn


def _with_calls(usage: Usage, calls: Calls) -> Usage:
    """Ollama says `stop` of an answer that calls, too."""
    if calls and usage.finish_reason == "stop":
        return replace(usage, finish_reason="tool_calls")
    return usage


def _read(part: JSONObject, alternatives: int) -> Piece:
    """A line of an answer of either kind."""
    try:
        message = part.get("message") or {"content": part["response"]}
        text = str(message.get("content") or "")
        told = part.get("logprobs") or () if text else ()  # else a token is none of the answer's
        said = Piece(
            text,
            reasoning=str(message.get("thinking") or ""),
            calls=tuple(_call(one, n) for n, one in enumerate(message.get("tool_calls") or ())),
            logprobs=token_logprobs(told, alternatives),
        )
        if not part.get("done"):
            return said
        reason: FinishReason = "length" if part.get("done_reason") == "length" else "stop"
        tokens = int(part.get("prompt_eval_count", 0)), int(part.get("eval_count", 0))
        return replace(said, usage=Usage(reason, *tokens))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BackEndFailed("Ollama sent a piece that cannot be read.") from error


def _call(told: JSONObject, number: int) -> CallPiece:
    """A call, which Ollama always tells whole."""
    function = told["function"]
    arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
    return CallPiece(number, str(told.get("id") or ""), str(function["name"]), arguments)
