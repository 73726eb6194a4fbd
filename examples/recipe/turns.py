"""What the chat template makes of functions and their calls, without the template; a test holds the two equal."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from examples.recipe.samples import Message, turn


def with_tools(messages: Sequence[Message], tools: Sequence[Any]) -> list[Message]:
    """The conversation, its system message with the functions that can be called."""
    if not tools:
        return [*messages]
    has_system = messages[0]["role"] == "system"
    told = "\n".join(["These functions can be called:", *map(_line, tools)])
    system = f"{messages[0]['content']}\n\n{told}" if has_system else told
    return [turn("system", system), *messages[has_system:]]


def said_in(message: Message) -> str:
    """What a message says, its calls too."""
    return "\n".join(filter(None, [message["content"], *_calls(message)]))


def _calls(message: Message) -> Iterator[str]:
    for call in message.get("tool_calls", ()):
        arguments = json.dumps(call["function"]["arguments"], ensure_ascii=False)
        name = call["function"]["name"]
        yield f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def _line(tool: Any) -> str:
    function = tool["function"]
    arguments = ", ".join(
        f"{name}: {' or '.join(one['enum']) if 'enum' in one else one['type']}"
        for name, one in function["parameters"]["properties"].items()
    )
    description = function.get("description")
    return f"{function['name']}({arguments})" + (f": {description}" if description else "")
