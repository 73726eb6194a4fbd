"""Which functions a question calls: the model chooses one or answers plainly, and the sandbox can run what it chose.

A model whose template knows tools chooses by it; any other is held to one schema: a call, or an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from api.errors import InvalidOption
from api.rag import Answers, Question
from api.rag.receipt import Answer
from api.runtime.forced_calls import CallReader, call_schema, told_of
from api.runtime.schemas import CheckedSchema, violation
from api.runtime.threads import in_thread
from api.runtime.tools import Tool, parameters_of
from api.structured.extracting import about, exact
from api.structured.functions import Function, read_functions
from api.structured.sandbox import Sandbox
from api.structured.values import NoValue, read

MAX_CALLS = 16
"""Calls of one answer that are made."""
_TASK = (
    'Answer with JSON: either the call of one function, {"name": ..., "arguments": {...}}, or, where none of them '
    'helps, {"answer": ...} with the answer in words. These functions can be called:\n'
)
_IN_WORDS: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the model asks for. `reason`: why it cannot be made, or what it was ended by; `value` is what it
    returned, where it was run.
    """

    name: str
    arguments: Any
    reason: str | None = None
    value: Any = None


@dataclass(frozen=True, slots=True)
class Called:
    """The answer, which is empty where functions are called, and the calls."""

    answer: Answer
    calls: tuple[Call, ...]


class _Asked(NamedTuple):
    """A call as the model wrote it, its arguments as text or read already."""

    name: str
    arguments: Any


async def called(
    answers: Answers,
    question: Question,
    sent: Sequence[str | Mapping[str, Any]],
    sandbox: Sandbox | None,
) -> Called:
    """The calls of what was sent that answer a question, made in the sandbox where there is one;
    `errors.InvalidOption` for functions that are none, or that cannot be run then.
    """
    functions = await in_thread(read_functions, sent, "functions")
    if sandbox:
        _require_source(functions)
        await sandbox.open()
    tools = tuple(one.as_tool() for one in functions)
    with about("functions"):
        if "tools" in question.model.capabilities:
            answer, asked = await _by_template(answers, question, tools)
        else:
            answer, asked = await _by_schema(answers, question, tools)
    known = {one.name: one for one in functions}
    is_cut = answer.done.finish_reason == "length"
    calls = [await in_thread(_checked, one, known, is_cut) for one in asked]
    if sandbox:
        calls = [await _run(n, one, known, sandbox) for n, one in enumerate(calls)]
    return Called(answer, tuple(calls))


def choice_schema(tools: Sequence[Tool]) -> CheckedSchema:
    """The schema of a call of one of them, who were checked, or an answer in words."""
    call = dict(call_schema(tools))
    head: dict[str, Any] = {name: call.pop(name) for name in ("$schema", "$defs") if name in call}
    return CheckedSchema({**head, "anyOf": [*call.get("anyOf", [call]), _IN_WORDS]})


async def _by_template(
    answers: Answers, question: Question, tools: tuple[Tool, ...]
) -> tuple[Answer, list[_Asked]]:
    options = replace(question.options, tools=tools, tool_choice="auto")
    answer = await answers.whole(replace(question, options=options))
    return answer, [_Asked(one.name, one.arguments or "{}") for one in answer.calls]


async def _by_schema(
    answers: Answers, question: Question, tools: tuple[Tool, ...]
) -> tuple[Answer, list[_Asked]]:
    """What is neither a call nor an answer, of a back end that does not hold the schema, is an answer in words."""
    messages = told_of(_TASK, question.model.persona, question.messages, tools)
    options = exact(question.options, choice_schema(tools))
    answer = await answers.whole(replace(question, messages=messages, options=options))
    try:
        said = read(answer.message)
    except NoValue:
        return _begun(answer)
    match said:
        case {"name": str(name)}:
            return replace(answer, message=""), [_Asked(name, said.get("arguments", {}))]
        case {"answer": str(text)}:
            return replace(answer, message=text), []
    return answer, []


def _begun(answer: Answer) -> tuple[Answer, list[_Asked]]:
    """A call that was cut off where its arguments had begun; an answer in words where there is none."""
    reader = CallReader()
    begun = [*reader.read(answer.message)]
    if not begun or answer.done.finish_reason != "length":
        return answer, []
    return replace(answer, message=""), [_Asked(reader.name, reader.arguments)]


def _checked(asked: _Asked, functions: Mapping[str, Function], is_cut: bool) -> Call:
    """The call, held against its schema whatever the back end promised."""
    name, arguments = asked.name[:80].encode(errors="replace").decode(), asked.arguments
    if asked.name not in functions:
        return Call(name, None, f"There is no function {name!r}.")
    if isinstance(arguments, str):
        try:
            arguments = read(arguments)
        except NoValue as error:
            why = "Ask for more max_tokens." if is_cut else error
            return Call(
                name, None, f"Its arguments are {'cut off' if is_cut else 'no value'}. {why}"
            )
    fault = violation(parameters_of(functions[name].as_tool()), arguments)
    return Call(
        name, arguments, f"Its arguments do not hold the schema: {fault}." if fault else None
    )


async def _run(
    number: int, call: Call, functions: Mapping[str, Function], sandbox: Sandbox
) -> Call:
    if call.reason:
        return call
    if number >= MAX_CALLS:
        return replace(call, reason=f"Only the first {MAX_CALLS} calls of an answer are made.")
    ran = await sandbox.call(functions[call.name].source, call.name, call.arguments)
    return replace(call, value=ran.value, reason=ran.reason)


def _require_source(functions: Sequence[Function]) -> None:
    if without := [one.name for one in functions if not one.source]:
        raise InvalidOption(
            f"execute_functions: {without[0]} has no source. Send it as Python, or run what is called yourself.",
            where="execute_functions",
        )
