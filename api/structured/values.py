"""What counts as a value: JSON that can be written down again, whoever made it."""

import json
import re
from typing import Any, NoReturn

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 64
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)


class NoValue(Exception):
    """There is no value; the message says why, as a sentence."""


def read(text: str) -> Any:
    """The value that a text is: the whole of it, or its first block between fences; `NoValue` for none."""
    code = fenced(text)
    for one in (text,) if code is None else (text, code):
        if len(one) > MAX_CHARACTERS:
            raise NoValue(f"The value has {len(one)} characters; {MAX_CHARACTERS} are allowed.")
        try:
            value = json.loads(one, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
        _require_writable(value)
        return value
    raise NoValue("This is no JSON.")


def fenced(text: str) -> str | None:
    """What stands in the first block of code of a text; None where there is none."""
    block = _FENCED.search(text)
    return block[1] if block else None


def _require_writable(value: Any) -> None:
    """`NoValue` for what could not be written down again."""
    if _is_deep(value):
        raise NoValue(f"The value is nested deeper than {MAX_DEPTH} levels.")
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NoValue("The value has half a character in it.") from None
    except ValueError:
        raise NoValue("The value has a number that is too large.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _is_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth < MAX_DEPTH:
        depth += 1
        level = [inner for one in level for inner in _inside(one)]
    return any(_inside(one) for one in level)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
