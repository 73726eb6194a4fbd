"""What the fake runtime says: texts, calls and thoughts that a test lines up; its tokens are words."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.runtime import CallPiece, TokenLogprob
from api.runtime.tools import made_id

DIMENSION = 64
_SIMPLE = {"string": "text", "integer": 1, "number": 1, "boolean": True, "array": []}


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: its text, what breaks it off then, calls (name and arguments), and what is thought before.

    `interleaved`: the calls are written side by side.
    """

    text: str = ""
    error: Exception | None = None
    calls: Sequence[tuple[str, str]] = ()
    reasoning: str = ""
    interleaved: bool = False

    def call_pieces(self) -> tuple[CallPiece, ...]:
        """Each call in two pieces."""
        pieces: list[CallPiece] = []
        for index, (name, arguments) in enumerate(self.calls):
            pieces.append(CallPiece(index, made_id(), name, arguments[:1]))
            pieces.append(CallPiece(index, arguments=arguments[1:]))
        return tuple([*pieces[::2], *pieces[1::2]] if self.interleaved else pieces)


class BreaksOff(Said):
    """An answer that fails after its first words: its text and the error."""


def example(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A small value that a schema allows, of those that tests use."""
    if reference := schema.get("$ref"):
        found: Any = root
        for step in str(reference).split("/")[1:]:
            found = found[step]
        return example(found, root)
    if "const" in schema:
        return schema["const"]
    for word in ("enum", "anyOf", "oneOf"):
        if word in schema:
            first = schema[word][0]
            return first if word == "enum" else example(first, root)
    if schema.get("type") == "object":
        members = schema.get("properties", {})
        return {name: example(members.get(name, {}), root) for name in schema.get("required", ())}
    return _SIMPLE.get(str(schema.get("type")))


def until_stop(text: str, stops: Sequence[str] | None) -> str:
    """A text up to the first of the stops."""
    found = [text.index(stop) for stop in stops or () if stop in text]
    return text[: min(found)] if found else text


def logprobs(word: str, most: int | None) -> tuple[TokenLogprob, ...]:
    """Each word is as likely as not; what might have been said instead is numbered."""
    if most is None:
        return ()
    top = (TokenLogprob(f"{word}{n}", -1.0 - n, tuple(f"{word}{n}".encode())) for n in range(most))
    return (TokenLogprob(word, math.log(0.5), tuple(word.encode()), tuple(top)),)


def vector(text: str) -> list[float]:
    """A bag of words, hashed into a few dimensions."""
    values = [0.0] * DIMENSION
    for word in re.findall(r"\w+", text.casefold()):
        digest = hashlib.blake2b(word.encode(errors="replace"), digest_size=8).digest()
        values[digest[0] % DIMENSION] += 1.0 if digest[1] % 2 else -1.0
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values] if length else [1.0] + [0.0] * (DIMENSION - 1)
