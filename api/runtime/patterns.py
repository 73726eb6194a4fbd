"""Patterns of JSON schemas: whether a text has what one describes, in a time that is bounded whoever wrote them.

They are JavaScript's, as JSON Schema says, and read by a library that never goes back in a text. What needs that is not
read: to look ahead or behind, and to refer back to a group.
"""

from functools import lru_cache
from typing import Any

MAX_BYTES = 2**22
"""What a pattern may come to, as `(\\p{L}| ){97}` does, or `[^<>]{4000}`; and a moment of 0.05 s to read it."""
MAX_WORK = 2**32
"""Bytes of a pattern times characters of a text. The worst pair of them took 0.6 s (docs/experiments.md)."""


class TooLong(Exception):
    """A text in which nobody looks for such a pattern; the message says how long it is."""


def is_read(pattern: str) -> bool:
    """Whether it is a pattern, of a size that is looked for, which needs no way back."""
    return _compiled(pattern, MAX_BYTES) is not None


def is_in(pattern: str, text: str) -> bool | None:
    """Whether a pattern is somewhere in a text; None for one that is not read. `TooLong`."""
    most = min(MAX_BYTES, MAX_WORK // max(len(text), 1))
    compiled = _compiled(pattern, 1 << most.bit_length() - 1)
    if compiled is not None:
        return bool(compiled.is_valid(text))
    if not is_read(pattern):
        return None
    raise TooLong(f"{len(text)} characters are too many to look for the pattern {pattern[:80]!r}")


@lru_cache(maxsize=32)
def _compiled(pattern: str, most_bytes: int) -> Any:
    """What tells whether a pattern is in a text; None for one that is not read, or comes to more bytes."""
    from jsonschema_rs import RegexOptions, validator_for

    options = RegexOptions(size_limit=most_bytes, dfa_size_limit=2**20)
    try:
        return validator_for({"pattern": pattern}, pattern_options=options)
    except ValueError:
        return None
