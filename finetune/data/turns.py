"""One cell of the training CSV: a list of {"role", "content"}, as JSON or as a Python literal, parsed safely."""

import ast
import json
from typing import Any

from finetune.data.rows import Conversation, Message

ROLES = ("system", "user", "assistant", "tool")
MAX_LITERAL_CHARACTERS = 2**18  # Python's parser needs some hundred bytes a character

_EXPECTED = 'a list of turns: [{"role": "user", "content": "..."}, {"role": "assistant", ...}]'


class NotTurns(Exception):
    """The cell holds no conversation to learn from."""

    def __init__(self, reason: str, expected: str = _EXPECTED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expected = expected


def read_turns(cell: str) -> Conversation:
    """The turns of a cell, each string as it was. Raises `NotTurns`."""
    turns = _parsed(cell)
    if not isinstance(turns, list):
        raise NotTurns(f"The cell is a {type(turns).__name__}, not a list.")
    if not turns:
        raise NotTurns("The list is empty.")
    messages = [_message(place, turn) for place, turn in enumerate(turns, 1)]
    for place, message in enumerate(messages, 1):
        if message["role"] == "system" and place > 1:
            raise NotTurns(f"Turn {place} is a system turn.", "a system turn only as the first")
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers:
        raise NotTurns("Nothing to learn: no assistant turn.", "at least one assistant turn")
    if answers == [0]:
        raise NotTurns("The assistant turn answers nothing.", "a user turn before it")
    return messages


def _parsed(cell: str) -> Any:
    if not cell.strip():
        raise NotTurns("The cell is empty.")
    try:
        return json.loads(cell, object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise NotTurns("The cell is nested too deeply.") from None
    except ValueError as error:
        reason = f"{error}"
    if len(cell) > MAX_LITERAL_CHARACTERS:
        raise NotTurns(f"The cell is not JSON: {reason}.")
    try:
        return ast.literal_eval(cell.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise NotTurns(f"The cell is neither JSON ({reason}) nor a Python list.") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    turn: dict[str, Any] = {}
    for name, value in pairs:
        if name in turn:
            raise NotTurns(f"A turn has {name[:40]!r} twice.")
        turn[name] = value
    return turn


def _message(place: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise NotTurns(f"Turn {place} is a {type(turn).__name__}, not an object.")
    for name in ("role", "content"):
        if name not in turn:
            raise NotTurns(f"Turn {place} has no {name!r}.")
        if not isinstance(turn[name], str):
            raise NotTurns(f"The {name} of turn {place} is a {type(turn[name]).__name__}.")
    others = [str(name)[:40] for name in turn if name not in ("role", "content")]
    if others:
        raise NotTurns(f"Turn {place} has the unknown key {others[0]!r}.", "only role and content")
    if turn["role"] not in ROLES:
        raise NotTurns(
            f"Turn {place} has the unknown role {turn['role'][:40]!r}.",
            f"one of {', '.join(ROLES)}",
        )
    if not turn["content"].strip():
        raise NotTurns(f"The content of turn {place} is empty.", "text in every turn")
    if any("\ud800" <= character <= "\udfff" for character in turn["content"]):
        raise NotTurns(f"The content of turn {place} holds half a surrogate pair.", "valid Unicode")
    return {"role": turn["role"], "content": turn["content"]}
