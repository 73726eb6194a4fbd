"""Functions that a model may call: whether they are sound, who can be offered them, and the calls in what it says."""

import json
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from time import thread_time
from typing import Any

from api.errors import InvalidOption
from api.runtime import CallPiece, Message, Options, ToolCall
from api.runtime.schema_bounds import optional_pairs, require_few_optional
from api.runtime.schemas import check_schema

Tool = Mapping[str, Any]
MAX_TOOLS = 128
MAX_TOOLS_CHARACTERS = 131_072
MAX_SECONDS = 5.0
"""Of the processor, to check all functions of a request: each may have patterns that take a second."""
MODES = ("auto", "none", "required")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPEN = {"$ref", "allOf", "anyOf", "oneOf", "patternProperties"}
_TAG_BEGINS = re.compile(r"\{[{%]")
_TAG_ENDS = re.compile(r"[%}]\}")
_TOOLS = re.compile(r"\btools\b")


def check_tools(options: Options) -> None:
    """`InvalidOption` for tools that are no functions, and a choice that is none of them."""
    tools, choice = options.tools or (), options.tool_choice
    if len(tools) > MAX_TOOLS:
        raise InvalidOption(f"tools: at most {MAX_TOOLS} functions.", where="tools")
    size, end = 0, thread_time() + MAX_SECONDS
    for number, tool in enumerate(tools):
        _check_function(tool, f"tools[{number}]", choice)
        size += len(json.dumps(tool))
        if size > MAX_TOOLS_CHARACTERS:
            raise InvalidOption(
                f"tools: at most {MAX_TOOLS_CHARACTERS} characters in all.", where="tools"
            )
        if thread_time() > end:
            raise InvalidOption(
                f"tools[{number}]: the schemas up to here take too long to read. Send fewer patterns.",
                where="tools",
            )
    require_few_optional(sum(optional_pairs(parameters_of(tool)) for tool in tools))
    names = [name_of(tool) for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InvalidOption(f"tools: {twice!r} is there twice.", where="tools")
    if choice not in (None, "none") and not tools:
        raise InvalidOption("tool_choice: there are no tools to choose from.", where="tool_choice")
    if choice is not None and choice not in (*MODES, *names):
        raise InvalidOption(f"tool_choice: no tool is called {choice[:80]!r}.", where="tool_choice")


def name_of(tool: Tool) -> str:
    """What a function is called."""
    return str(tool["function"]["name"])


def parameters_of(tool: Tool) -> Mapping[str, Any]:
    """The schema of a function's arguments: an object, of no other members than are named unless it says so."""
    parameters: Mapping[str, Any] = tool["function"].get("parameters") or {"properties": {}}
    if "properties" not in parameters or _OPEN & parameters.keys():
        return {"type": "object", **parameters}
    return {"type": "object", "additionalProperties": False, **parameters}


def offered(options: Options, capabilities: Collection[str]) -> tuple[Tool, ...]:
    """The tools that a model is shown, to call one or none; `InvalidOption` for a model that knows none."""
    if not options.tools or options.tool_choice == "none":
        return ()
    if "tools" not in capabilities:
        raise InvalidOption(
            "tools: this model's template knows none, so it cannot choose to call one. Name the function to call in "
            "tool_choice, or say 'required'.",
            where="tools",
        )
    return options.tools


@lru_cache(maxsize=64)
def shows_tools(template: str) -> bool:
    """Whether a Jinja chat template writes down tools that it is given: one of its tags names them."""
    tags = (_TAG_ENDS.split(part, 1)[0] for part in _TAG_BEGINS.split(template)[1:])
    return any(_TOOLS.search(tag) for tag in tags)


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call in a conversation, for templates that write objects."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise InvalidOption(
            f"messages: the arguments of the call {call.id!r} are no JSON object.", where="messages"
        )
    return arguments


def as_openai(call: ToolCall) -> dict[str, Any]:
    """A call in a conversation as OpenAI's wire has it."""
    function = {"name": call.name, "arguments": json.dumps(arguments_of(call), ensure_ascii=False)}
    return {"id": call.id, "type": "function", "function": function}


def in_plain_words(messages: Sequence[Message]) -> list[Message]:
    """A conversation for a template that knows no tools: the assistant says a call, and is told its result."""
    called = names_called(messages)
    return [_plain(message, called) for message in messages]


def names_called(messages: Sequence[Message]) -> dict[str, str]:
    """The names of the functions that a conversation calls, by the ids of the calls."""
    return {call.id: call.name for message in messages for call in message.tool_calls}


class Calls:
    """Reads the calls of one answer. A back end may repeat a name or an id, or give no id: neither comes through."""

    def __init__(self, most: int | None = None) -> None:
        """`most` is how many come through: parallel ones only where they are allowed."""
        self._most = most
        self._begun: set[int] = set()

    def __len__(self) -> int:
        return len(self._begun)

    def read(self, pieces: Sequence[CallPiece]) -> tuple[CallPiece, ...]:
        """Pieces as they are told."""
        return tuple(self._read(pieces))

    def _read(self, pieces: Sequence[CallPiece]) -> Iterator[CallPiece]:
        for piece in pieces:
            if piece.index in self._begun:
                yield replace(piece, id="", name="")
            elif self._most is None or len(self._begun) < self._most:
                self._begun.add(piece.index)
                yield replace(piece, id=piece.id or made_id(), index=len(self._begun) - 1)


def made_id() -> str:
    """The id of a call."""
    return f"call_{secrets.token_hex(12)}"


def _check_function(tool: Any, name: str, choice: str | None) -> None:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or tool.get("type") != "function":
        raise InvalidOption(
            f'{name}: a tool is {{"type": "function", "function": {{"name": ...}}}}.', where="tools"
        )
    called = function.get("name")
    if not isinstance(called, str) or not _NAME.fullmatch(called) or called in MODES:
        raise InvalidOption(
            f"{name}: its name has 1 to 64 letters, digits, _ and -, and is none of {', '.join(MODES)}.",
            where="tools",
        )
    if not isinstance(function.get("description") or "", str):
        raise InvalidOption(f"{name}: its description is a text.", where="tools")
    if (parameters := function.get("parameters")) is not None:
        must_hold = function.get("strict") is True or choice in ("required", called)
        check_schema(parameters, f"{name}.parameters", "tools", patterns=must_hold)
        if parameters.get("type", "object") != "object":
            raise InvalidOption(f"{name}.parameters: their type is object.", where="tools")


def _plain(message: Message, called: Mapping[str, str]) -> Message:
    if message.role == "tool":
        result = f"Result of {called.get(message.tool_call_id, 'the function')}:\n{message.content}"
        return replace(message, role="user", content=result, tool_call_id="")
    if message.tool_calls:
        calls = [
            json.dumps({"name": call.name, "arguments": arguments_of(call)}, ensure_ascii=False)
            for call in message.tool_calls
        ]
        said = "\n".join([*filter(None, [message.content]), *calls])
        return replace(message, content=said, tool_calls=())
    return message
