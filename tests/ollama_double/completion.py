"""Completion of a rendered prompt, as Ollama asks llama.cpp for it and listens to the answer."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from tests.ollama_double import options as wanted
from tests.ollama_double.asked import Asked
from tests.ollama_double.fitting import fit_prompt
from tests.ollama_double.pieces import Piece, counts, probabilities
from tests.ollama_double.runner import Runner
from tests.ollama_double.wire import Failure, JSONObject

_MOST_EQUAL_PIECES = 30
_NO_IMAGES = (
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
)
_JSON_GRAMMAR = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? ws "}"
array  ::= "[" ws ( value ("," ws value)* )? ws "]"
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}) )* "\""
number ::= ("-"? ([0-9] | [1-9] [0-9]*)) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? ws
ws     ::= ([ \t\n] ws)?
"""


async def completed(
    runner: Runner, asked: Asked, prompt: str, *, has_images: bool
) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer. More than thirty equal ones in a row end it without a word."""
    body = _body(asked)
    if has_images:
        told = {"code": 400, "message": _NO_IMAGES, "type": "invalid_request_error"}
        raise Failure(400, json.dumps({"error": told}, separators=(",", ":")))
    cuts, shifts = asked.truncates, asked.shifts
    body["prompt"] = await fit_prompt(runner, prompt, asked.options, cuts=cuts, shifts=shifts)
    last, equal = "", 0
    async with aclosing(runner.events("/completion", body)) as events:
        async for event in events:
            if "error" in event:
                return
            text = event["content"]
            equal = equal + 1 if text.strip() == last else 0
            last = text.strip()
            if equal > _MOST_EQUAL_PIECES:
                return
            if event["stop"]:
                told = counts(event["timings"], is_cut=event["stop_type"] == "limit")
                yield Piece(text, counts=told)
            elif text:
                tokens = event.get("completion_probabilities")
                yield Piece(text, probabilities=probabilities(tokens, with_top=asked.has_top))


def _body(asked: Asked) -> JSONObject:
    body = wanted.for_llama(asked.options)
    form = wanted.check_format(asked.body.get("format"))
    if isinstance(form, dict):
        body["json_schema"] = form
    elif form:
        body["grammar"] = _JSON_GRAMMAR
    if asked.body.get("logprobs"):
        body["n_probs"] = max(asked.body.get("top_logprobs") or 0, 1)
    return body
