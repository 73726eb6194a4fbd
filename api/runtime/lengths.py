"""What a prompt and an answer may take of a context: the arithmetic that every runtime holds a request to."""

import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence

from api.errors import PromptTooLong
from api.runtime import Message, Options

_TOKENS_AROUND_A_TURN = 32
_TOKENS_AROUND_ALL = 256
_TIMES_WRITTEN = 3
"""How much longer JSON may become where a template writes it its own way, with other blanks and escapes."""
_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_LOOP = re.compile(r"\{[{%]-?\s*(?:range|for)\b")
_PARTS = re.compile(r"[A-Za-z]+|[\x21-\x7e]|[^\x00-\x7f]+")
_LETTERS_OF_A_TOKEN = 3
_BYTES_OF_A_TOKEN = 2
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


def loaded_context(usual: int, trained: int, wanted: int | None) -> int:
    """The context a model is loaded with: the usual one, or a larger one that holds `wanted` tokens. Few sizes, for
    another one is another load.
    """
    context = min(usual, trained)
    while context < min(wanted or 1, trained):
        context = min(2 * context, trained)
    return context


async def answer_length(
    context: int,
    trained: int,
    most: int | None,
    least: int,
    at_most: float,
    count: Callable[[], Awaitable[int]],
) -> int:
    """Tokens that an answer may have: `most`, or what the prompt leaves of the context. The prompt is counted only when
    `at_most`, more than it has, leaves too little. `errors.PromptTooLong` when fewer than `least` are left.
    """
    if at_most + (most or least) <= context:
        return most or int(context - at_most)
    number = await count()
    if context - number < least:
        left = max(0, context - least)
        raise PromptTooLong(number, left, answer=least, context_can_grow=context < trained)
    return min(most or context, context - number)


def most_tokens(
    template: str, turns: Sequence[Message], options: Options, said_bytes: int = 0
) -> float:
    """More tokens than the prompt has: no token is shorter than a byte. `said_bytes` is what a model says before."""
    if any(turn.images for turn in turns):
        return math.inf
    said = sum(_bytes_of(turn) + _TOKENS_AROUND_A_TURN for turn in turns)
    schema = len(json.dumps(options.json_schema)) if options.json_schema is not None else 0
    tools = _TIMES_WRITTEN * len(json.dumps(options.tools or ()))
    return (
        said
        + schema
        + tools
        + said_bytes
        + _written_bytes(template, len(turns))
        + _TOKENS_AROUND_ALL
    )


def estimated(texts: Sequence[str]) -> list[int]:
    """Tokens of each text, too many rather than too few, so that a text that is said to fit does: three letters a
    token, other ASCII one each, two bytes of the rest.
    """
    return [sum(_high(part) for part in _PARTS.findall(text)) for text in texts]


def _high(part: str) -> int:
    if part.isascii():
        return math.ceil(len(part) / _LETTERS_OF_A_TOKEN)
    return math.ceil(len(part.encode(errors="replace")) / _BYTES_OF_A_TOKEN)


def _bytes_of(turn: Message) -> int:
    calls = sum(
        len(call.name) + _TIMES_WRITTEN * len(call.arguments.encode(errors="replace")) + 64
        for call in turn.tool_calls
    )
    return len(turn.content.encode(errors="replace")) + calls


def _written_bytes(template: str, turns: int) -> int:
    """Bytes that a template, of either kind, may put around so many turns: its text and what it quotes in tags, that
    from its first loop on once a turn.
    """
    loop = _LOOP.search(template)
    parts = (template[: loop.start()], template[loop.start() :]) if loop else (template, "")
    before, within = (
        len((_TAG.sub("", part) + "".join(map(_quoted, _TAG.findall(part)))).encode())
        for part in parts
    )
    return before + within * turns


def _quoted(tag: str) -> str:
    return "".join(_QUOTED.findall(tag))
