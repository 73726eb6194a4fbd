"""Rows as turns, and what is wrong with turns whatever model reads them. Standard library only."""

import json
import re
from collections.abc import Iterator
from typing import Any

from finetune.data.rows import Chat, Conversation, Message, Preference, Row
from finetune.lint import codes
from finetune.lint.codes import Code
from finetune.lint.secrets import card_in, key_in
from finetune.lint.seen import hash_of

# What UTF-8 looks like when it was read as Windows-1252, and what stands where a character could not be read.
_BROKEN = re.compile(
    "\ufffd|\u00c3[\u0080-\u00bf\u0192\u201a-\u201e\u2020-\u2026\u0152\u0153]|\u00e2\u20ac[\u0080-\u00bf\u2122\u0153\u009d\u02dc\u201c\u201d\u00a6]"
)


def turns_of(row: Row) -> Conversation:
    """All turns of a row; of a text the one that is learned."""
    if isinstance(row, Chat):
        return row.messages
    if isinstance(row, Preference):
        return [*row.prompt, *row.chosen, *row.rejected]
    return [{"role": "assistant", "content": row.text}]


def conversations_of(row: Row) -> list[Conversation]:
    """What would be one conversation: two of a preference, none of a text."""
    if isinstance(row, Chat):
        return [row.messages]
    if isinstance(row, Preference):
        return [[*row.prompt, *row.chosen], [*row.prompt, *row.rejected]]
    return []


def text_of(turn: Message) -> str:
    """What the turn says."""
    content = turn.get("content")
    return content if isinstance(content, str) else ""


def key(row: Row) -> int:
    """Equal for rows of equal content, whatever their numbers."""
    return _hash(_said(row))


def loose_key(row: Row) -> int:
    """The same, equal too for rows that differ in white space or in what follows the last answer alone."""
    said = [[role, " ".join(text.split()), calls] for role, text, calls in _said(row)]
    while said and said[-1][0] != "assistant":
        said.pop()
    return _hash(said)


def _said(row: Row) -> list[list[Any]]:
    turns = [[turn["role"], text_of(turn), turn.get("tool_calls")] for turn in turns_of(row)]
    tools = row.tools if isinstance(row, Chat) else None
    return [["tools", "", tools], *turns] if tools else turns


def _hash(said: list[list[Any]]) -> int:
    return hash_of(json.dumps(said).encode())


def wrong_in(row: Row) -> Iterator[tuple[Code, str]]:
    """What is wrong, and where."""
    for conversation in conversations_of(row):
        yield from _order(conversation)
    for place, turn in enumerate(turns_of(row), 1):
        text = text_of(turn)
        where = f"turn {place}"
        if not text.strip() and not turn.get("tool_calls"):
            yield codes.EMPTY_TURN, f"{where}, of {turn['role']}"
        if found := _BROKEN.search(text):
            yield (
                codes.BROKEN_CHARACTERS,
                f"{where}: {text[max(0, found.start() - 10) : found.end() + 10]!r}",
            )
        if kind := key_in(text):
            yield codes.SECRET, f"{where}: {kind}"
        if number := card_in(text):
            yield codes.CARD_NUMBER, f"{where}: {number}"
    if isinstance(row, Preference) and row.chosen == row.rejected:
        yield codes.NO_PREFERENCE, ""


def _order(turns: Conversation) -> Iterator[tuple[Code, str]]:
    """The order of the roles; what only this code and the next find is enough to be told once a row."""
    before = ""
    called = False
    for place, turn in enumerate(turns, 1):
        role = turn["role"]
        if role == "assistant" and before in ("", "system"):
            yield codes.ROLE_ORDER, "the assistant speaks first"
            break
        if role == before and role in ("user", "assistant", "system"):
            yield codes.ROLE_ORDER, f"turns {place - 1} and {place} are both of {role}"
            break
        if role == "system" and place > 1:
            yield codes.ROLE_ORDER, f"turn {place} is a system turn"
            break
        if role == "tool" and not called:
            yield codes.ROLE_ORDER, f"turn {place} is a tool's, and no tool was called"
            break
        called = role == "tool" or bool(turn.get("tool_calls"))
        before = role
    if turns and turns[-1]["role"] != "assistant":
        yield codes.TRAILING, ""
