"""One conversation with a model of Ollama: how it is sent, what it costs, and the answer in pieces."""

import base64
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from api.errors import BackEndFailed, InvalidOption, PromptTooLong, Unusable
from api.runtime import FinishReason, Message, Options, Piece, Usage
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.models import OllamaModel
from api.runtime.ollama.parameters import as_parameters
from api.runtime.ollama.transport import JSONObject
from api.runtime.personas import with_system


def readable(model: OllamaModel, messages: Sequence[Message]) -> list[Message]:
    """The conversation as it is sent, the persona's system prompt included. System turns stand first: before another
    one Ollama puts the persona's.
    """
    if any(message.images for message in messages) and "images" not in model.info.capabilities:
        raise InvalidOption("images: this model cannot see.")
    require_unicode([message.content for message in messages])
    turns = with_system(model.info.persona, messages)
    return sorted(turns, key=lambda turn: turn.role != "system")


def require_unicode(texts: Sequence[str]) -> None:
    """`Unusable` for a text that cannot be sent."""
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        raise Unusable("The text holds half of a surrogate pair; send valid Unicode.") from error


def request(
    model: OllamaModel, turns: Sequence[Message], options: Options, context: int, keep_alive: float
) -> dict[str, Any]:
    """The body of a call. The context is always named and nothing is ever cut: Ollama would do it silently. It loads
    a model anew for another `num_ctx` or `shift` than the last, so a count has those of an answer.
    """
    stops = None if options.stop is None else [*options.stop, *model.marks]
    plain = Options(options.temperature, options.top_p, seed=options.seed)
    chosen = {**as_parameters(plain), "num_ctx": context}
    body: dict[str, Any] = {
        "model": model.name,
        "messages": [_turn(turn) for turn in turns],
        "options": chosen if stops is None else {**chosen, "stop": stops},
        "truncate": False,
        "shift": False,
        "keep_alive": keep_alive,
    }
    if model.thinks:
        body["think"] = False
    if options.json_schema is not None:
        body["format"] = options.json_schema
    return body


async def count(client: OllamaClient, body: JSONObject) -> int:
    """Exactly the tokens of a prompt, which Ollama tells only of one that it has read."""
    for most in (1, 16):  # an answer that ends within a letter ends without a count
        options = {**body["options"], "temperature": 0, "num_predict": most}
        try:
            answer = await client.chat_whole({**body, "options": options})
        except PromptTooLong as error:
            return int(error.extra["prompt_tokens"])
        if answer.get("done") and "prompt_eval_count" in answer:
            return int(answer["prompt_eval_count"])
    raise BackEndFailed("Ollama does not say how many tokens the prompt has. Ask again.")


async def answer(client: OllamaClient, body: JSONObject, most: int) -> AsyncGenerator[Piece, None]:
    """The pieces of the answer, of at most so many tokens; the last one carries the usage."""
    options = {**body["options"], "num_predict": most}
    async with aclosing(client.chat({**body, "options": options})) as parts:
        async for part in parts:
            text, usage = _read(part)
            if usage:
                yield Piece(text, usage)
                return
            if text:
                yield Piece(text)
    raise BackEndFailed(
        "Ollama broke the answer off. It does so after many equal pieces in a row and at broken "
        "characters: ask again, with another temperature or another schema."
    )


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        turn["images"] = [base64.b64encode(image).decode() for image in message.images]
    return turn


def _read(part: JSONObject) -> tuple[str, Usage | None]:
    try:
        text = str(part["message"].get("content") or "")
        if not part.get("done"):
            return text, None
        reason: FinishReason = "length" if part.get("done_reason") == "length" else "stop"
        tokens = int(part.get("prompt_eval_count", 0)), int(part.get("eval_count", 0))
        return text, Usage(reason, *tokens)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BackEndFailed("Ollama sent a piece that cannot be read.") from error
