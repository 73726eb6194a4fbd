"""The prompt that a Go template makes of a conversation, in the ways in which Ollama calls its templates."""

from collections.abc import Sequence
from typing import Any

from tests.ollama_double.go_template import Template
from tests.ollama_double.wire import JSONObject


def render(
    source: str, messages: Sequence[JSONObject], tools: Sequence[JSONObject], think: bool | None
) -> str:
    """Render a conversation."""
    template = Template(source)
    thinking = {"Think": bool(think), "ThinkLevel": "", "IsThinkSet": think is not None}
    system, turns = _collated(messages)
    if "messages" not in template.names:
        return _turn_by_turn(template, turns, thinking)
    values = {"System": system, "Messages": [_fields(turn) for turn in turns], "Response": ""}
    return template.render({**values, "Tools": list(tools) or None, **thinking})


def _collated(messages: Sequence[JSONObject]) -> tuple[str, list[JSONObject]]:
    """All system messages as one text, and turns of which no two in a row have one role."""
    turns: list[JSONObject] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"] != "tool":
            turns[-1] = {**turns[-1], "content": turns[-1]["content"] + "\n\n" + message["content"]}
        else:
            turns.append(message)
    system = (message["content"] for message in messages if message["role"] == "system")
    return "\n\n".join(system), turns


def _fields(message: JSONObject) -> JSONObject:
    calls = [
        {"Function": {k.capitalize(): v for k, v in call["function"].items()}}
        for call in message.get("tool_calls") or ()
    ]
    return {
        "Role": message["role"],
        "Content": message["content"],
        "Thinking": message.get("thinking", ""),
        "ToolName": message.get("tool_name", ""),
        "ToolCalls": calls or None,
    }


def _turn_by_turn(template: Template, turns: Sequence[JSONObject], thinking: dict[str, Any]) -> str:
    """Templates without a loop over messages are run once for each question and its answer."""
    text = ""
    values = {"System": "", "Prompt": "", "Response": ""}
    for turn in turns:
        begins = {
            "system": values["Prompt"] or values["Response"],
            "user": values["Response"],
        }
        if begins.get(turn["role"]):
            text += template.render({**values, **thinking})
            values = {"System": "", "Prompt": "", "Response": ""}
        names = {"system": "System", "user": "Prompt", "assistant": "Response"}
        if turn["role"] in names:
            values[names[turn["role"]]] = turn["content"]
    return text + template.before_response().render({**values, **thinking})
