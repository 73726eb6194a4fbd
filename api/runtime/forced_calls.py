"""Calls that a model must make, the same way over every runtime and for every model.

The answer is held to the schema of a call by grammar, and read into the pieces of a call while it is written.
"""

import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from api.errors import BackEndFailed, InvalidOption
from api.runtime import (
    CallPiece,
    FinishReason,
    Message,
    ModelInfo,
    ModelRuntime,
    Options,
    Persona,
    Piece,
)
from api.runtime.schemas import CheckedSchema, placed, violation
from api.runtime.threads import in_thread
from api.runtime.tools import Tool, check_tools, made_id, name_of, parameters_of

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("[\w-]+")\s*,\s*"arguments"\s*:\s*(?=\{)')
_TASK = (
    "Answer with the call of a function, as JSON: its name and its arguments. "
    "These functions can be called:\n"
)


async def chat(
    runtime: ModelRuntime,
    model: ModelInfo,
    messages: Sequence[Message],
    options: Options,
    *,
    least_tokens: int | None = None,
    prompt_tokens: int | None = None,
) -> AsyncGenerator[Piece, None]:
    """`ModelRuntime.chat`, where the choice of a tool may be `required`, or a name: then the answer is one call."""
    if not options.tools or options.tool_choice in (None, "auto", "none"):
        pieces = runtime.chat(
            model, messages, options, least_tokens=least_tokens, prompt_tokens=prompt_tokens
        )
    else:
        check_tools(options)
        tools = _callable(options)
        told = told_of(_TASK, model.persona, messages, tools)
        answer = runtime.chat(model, told, _held_to(options, tools), least_tokens=least_tokens)
        finished: FinishReason = "tool_calls" if options.tool_choice == "required" else "stop"
        pieces = _as_calls(answer, tools, finished)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


def call_schema(tools: Sequence[Tool]) -> CheckedSchema:
    """The schema of a call of one of them, who were checked. The parameters stand aside, so that their references lead
    to themselves; what they all are written in is what it is written in.
    """
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": name_of(tool)},
                "arguments": {"$ref": f"#/$defs/{name_of(tool)}"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    definitions = {
        name_of(tool): placed(parameters_of(tool), f"#/$defs/{name_of(tool)}") for tool in tools
    }
    drafts = {parameters_of(tool).get("$schema") for tool in tools} - {None}
    draft = {"$schema": drafts.pop()} if len(drafts) == 1 else {}
    call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return CheckedSchema({**draft, "$defs": definitions, **call})


class CallReader:
    """Reads one call out of the text of its JSON, piece by piece."""

    def __init__(self) -> None:
        self.name = ""
        self.arguments = ""
        self.is_whole = False
        self._head = ""
        self._depth = 0
        self._in_text = False
        self._is_escaped = False

    def read(self, text: str) -> Iterator[CallPiece]:
        """What of the text belongs to the call."""
        first: Mapping[str, str] = {}
        if not self.name:
            self._head += text
            head = _HEAD.match(self._head)
            if not head:
                return
            self.name = json.loads(head[1])
            text = self._head[head.end() :]
            first = {"id": made_id(), "name": self.name}
        part = "".join(self._until_the_end(text))
        self.arguments += part
        if part:
            yield CallPiece(0, arguments=part, **first)

    def _until_the_end(self, text: str) -> Iterator[str]:
        """The characters up to the bracket that closes the first one."""
        for character in text:
            if self.is_whole:
                return
            yield character
            if self._is_escaped:
                self._is_escaped = False
            elif self._in_text:
                self._is_escaped = character == "\\"
                self._in_text = character != '"'
            else:
                self._in_text = character == '"'
                self._depth += (character in "{[") - (character in "}]")
                self.is_whole = self._depth == 0


def _callable(options: Options) -> list[Tool]:
    tools = options.tools or ()
    is_named = options.tool_choice != "required"
    return [tool for tool in tools if not is_named or name_of(tool) == options.tool_choice]


def _held_to(options: Options, tools: Sequence[Tool]) -> Options:
    """The options that only a call can follow. Stop texts would end it anywhere."""
    return replace(
        options,
        json_schema=call_schema(tools),
        tools=None,
        tool_choice=None,
        parallel_tool_calls=None,
        stop=(),
        logprobs=None,
        think=False,
    )


def told_of(
    task: str, persona: Persona, messages: Sequence[Message], tools: Sequence[Tool]
) -> list[Message]:
    """The conversation, whose system turn, or else the persona's prompt, goes on with a task and what can be called."""
    said = [message.content for message in messages if message.role == "system"]
    functions = [json.dumps(tool["function"], ensure_ascii=False) for tool in tools]
    told = [*(said or filter(None, [persona.system])), task + "\n".join(functions)]
    others = [message for message in messages if message.role != "system"]
    return [Message("system", "\n\n".join(told)), *others]


async def _as_calls(
    answer: AsyncGenerator[Piece, None], tools: Sequence[Tool], finished: FinishReason
) -> AsyncGenerator[Piece, None]:
    """An answer that is a call, as one. A whole call is held against the schema of its arguments once more, for the
    grammar knows not all that schemas say.
    """
    reader = CallReader()
    last: Piece | None = None
    async with aclosing(
        _about_tools(answer)
    ) as pieces:  # closed before the check, which keeps no model
        async for piece in pieces:
            said = replace(piece, text="", logprobs=(), calls=tuple(reader.read(piece.text)))
            if said.usage is not None:
                last = said
                break
            if said.calls or said.reasoning:
                yield said
    if last is None or last.usage is None:
        return
    reason: FinishReason = "length"
    if reader.is_whole or last.usage.finish_reason != "length":
        await in_thread(_check, reader, tools)
        reason = finished
    yield replace(last, usage=replace(last.usage, finish_reason=reason))


async def _about_tools(answer: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The answer; a schema that is refused is that of the tools, for no other was sent."""
    try:
        async with aclosing(answer) as pieces:
            async for piece in pieces:
                yield piece
    except InvalidOption as error:
        if error.extra.get("where") != "response_format":
            raise
        raise InvalidOption(error.detail, where="tools") from error


def _check(reader: CallReader, tools: Sequence[Tool]) -> None:
    """`BackEndFailed` for what is no call of one of them."""
    schemas = {name_of(tool): parameters_of(tool) for tool in tools}
    if not reader.is_whole or reader.name not in schemas:
        raise BackEndFailed(
            "The model was to call a function, and did not. Ask again.", code="invalid_call"
        )
    try:
        arguments = json.loads(reader.arguments)
    except (ValueError, RecursionError) as error:
        fault: str | None = f"they are no JSON ({error})"
    else:
        fault = violation(schemas[reader.name], arguments)
    if fault:
        raise BackEndFailed(
            f"The model's arguments for {reader.name} do not hold their schema: {fault}. Ask again.",
            code="invalid_call",
        )
