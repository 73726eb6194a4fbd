"""A conversation as files have it, by `role` and `content` or by `from` and `value`, read strictly into our own form."""

import json
from typing import Any

from finetune.data.cells import Unreadable, read_cell
from finetune.data.rows import Conversation, Message

ROLES = ("system", "user", "assistant", "tool")
OTHER_NAMES = {
    **{"developer": "system", "human": "user", "gpt": "assistant"},
    **{"chatgpt": "assistant", "bing": "assistant", "model": "assistant", "bot": "assistant"},
    **{"observation": "tool", "ipython": "tool"},
}
"""What ShareGPT and others call the roles."""

TURNS = 'a list of turns: [{"role": "user", "content": "..."}, {"role": "assistant", ...}]'
KEPT = {"name", "tool_call_id", "reasoning_content"}
"""Keys of a turn that a chat template may read."""


class NotTurns(Exception):
    """What is there is no conversation to learn from."""

    def __init__(self, reason: str, expected: str = TURNS) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expected = expected


def read_turns(cell: Any) -> Conversation:
    """The turns of a cell or a value to learn from, each text as it was. Raises `NotTurns`."""
    messages = any_turns(cell)
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers:
        raise NotTurns("Nothing to learn: no assistant turn.", "at least one assistant turn")
    if answers == [0]:
        raise NotTurns("The assistant turn answers nothing.", "a user turn before it")
    return messages


def any_turns(cell: Any) -> Conversation:
    """The turns of a cell or a value, whoever speaks. Raises `NotTurns`."""
    turns = _parsed(cell) if isinstance(cell, str) else cell
    if isinstance(turns, dict) and isinstance(turns.get("messages"), list):
        turns = turns["messages"]
    if not isinstance(turns, list):
        raise NotTurns(f"The cell is {_kind(turns)}, not a list.")
    if not turns:
        raise NotTurns("The list is empty.")
    messages = [_message(place, turn) for place, turn in enumerate(turns, 1)]
    for place, message in enumerate(messages, 1):
        if message["role"] == "system" and place > 1:
            raise NotTurns(f"Turn {place} is a system turn.", "a system turn only as the first")
    return messages


def read_tools(cell: Any) -> list[dict[str, Any]] | None:
    """The tools that a conversation could call, None where the cell is empty. Raises `NotTurns`."""
    expected = 'a list of tools: [{"type": "function", "function": {"name": ...}}]'
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    tools = _parsed(cell) if isinstance(cell, str) else cell
    tools = [_parsed(tool) if isinstance(tool, str) else tool for tool in tools or ()]
    if not all(isinstance(tool, dict) and _name_of(tool) for tool in tools):
        raise NotTurns("The tools are no list of functions with names.", expected)
    _require_unicode(tools, "The tools")
    return [_without_nulls(tool) for tool in tools] or None


def require_text(text: str, where: str) -> str:
    """The text, which has something in it and is Unicode. Raises `NotTurns`."""
    if not text.strip():
        raise NotTurns(f"{where} is empty.", "text")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise NotTurns(f"{where} holds half a surrogate pair.", "valid Unicode")
    return text


def _parsed(cell: str) -> Any:
    if not cell.strip():
        raise NotTurns("The cell is empty.")
    try:
        return read_cell(cell)
    except Unreadable as error:
        reason = str(error)
        raise NotTurns(f"The cell cannot be read: {reason}.") from None


def _kind(value: Any) -> str:
    return "empty" if value is None else f"a {type(value).__name__}"


def _message(place: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise NotTurns(f"Turn {place} is {_kind(turn)}, not an object.")
    turn = {name: value for name, value in turn.items() if value is not None}
    role_key, content_key = ("from", "value") if "from" in turn else ("role", "content")
    role = _role(place, turn, role_key)
    calls = _tool_calls(place, turn.get("tool_calls"))
    if content_key not in turn and not calls:
        raise NotTurns(f"Turn {place} has no {content_key!r}.")
    content = _content(place, turn.get(content_key, ""))
    if not (calls and not content.strip()):
        require_text(content, f"The content of turn {place}")
    message: Message = {"role": role, "content": content}
    if calls:
        if role != "assistant":
            raise NotTurns(f"Turn {place} has tool_calls and is no assistant turn.")
        message["tool_calls"] = calls
    for name in turn.keys() - {role_key, content_key, "tool_calls", "weight"}:
        if name not in KEPT:
            raise NotTurns(
                f"Turn {place} has the unknown key {str(name)[:40]!r}.",
                f"only role, content, tool_calls, {', '.join(sorted(KEPT))}",
            )
        if not isinstance(turn[name], str):
            raise NotTurns(f"The {name} of turn {place} is {_kind(turn[name])}, not a text.")
        message[name] = require_text(turn[name], f"The {name} of turn {place}")
    if turn.get("weight", 1) != 1:
        raise NotTurns(
            f"Turn {place} has the weight {turn['weight']!r}: turns cannot be weighed here.",
            "rows whose assistant turns are all to be learned",
        )
    return message


def _role(place: int, turn: dict[str, Any], key: str) -> str:
    if key not in turn:
        raise NotTurns(f"Turn {place} has no {key!r}.")
    said = turn[key]
    if not isinstance(said, str):
        raise NotTurns(f"The {key} of turn {place} is {_kind(said)}.")
    role = OTHER_NAMES.get(said, said)
    if role not in ROLES:
        raise NotTurns(
            f"Turn {place} has the unknown role {said[:40]!r}.", f"one of {', '.join(ROLES)}"
        )
    return role


def _content(place: int, content: Any) -> str:
    """The text; of several parts, with line breaks between them, as llama.cpp joins those of a question."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise NotTurns(f"The content of turn {place} is {_kind(content)}.")
    texts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if isinstance(part, str):
            texts.append(part)
        elif kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            what = f"a part of type {str(kind)[:40]!r}" if kind else f"a part that is {_kind(part)}"
            raise NotTurns(
                f"Turn {place} holds {what}: only text can be learned.",
                '"content": "..." or [{"type": "text", "text": "..."}]',
            )
    return "\n".join(texts)


def _tool_calls(place: int, calls: Any) -> list[dict[str, Any]] | None:
    """Calls as OpenAI has them, their arguments as objects, as chat templates read them."""
    if calls is None or calls == []:
        return None
    expected = '"tool_calls": [{"type": "function", "function": {"name": ..., "arguments": {...}}}]'
    if not isinstance(calls, list):
        raise NotTurns(f"The tool_calls of turn {place} are {_kind(calls)}.", expected)
    read = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise NotTurns(f"A tool call of turn {place} names no function.", expected)
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError) as error:
                raise NotTurns(
                    f"The arguments of a tool call of turn {place} are no JSON ({error}).", expected
                ) from None
        if not isinstance(arguments, dict):
            raise NotTurns(f"The arguments of a tool call of turn {place} are no object.", expected)
        named = {"name": function["name"], "arguments": arguments}
        _require_unicode(named, f"A tool call of turn {place}")
        call_id = {"id": str(call["id"])} if call.get("id") else {}
        read.append({**call_id, "type": "function", "function": named})
    return read


def _require_unicode(value: Any, where: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotTurns(f"{where} hold half a surrogate pair.", "valid Unicode") from None


def _name_of(tool: dict[str, Any]) -> Any:
    function = tool.get("function", tool)
    return isinstance(function, dict) and function.get("name")


def _without_nulls(value: Any) -> Any:
    """Parquet gives every object the members of all; those without a value were never there."""
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
