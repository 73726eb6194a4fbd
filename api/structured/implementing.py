"""A function that a model writes: by its signature and a question, run in the sandbox until it returns what it must."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from api.errors import InvalidOption, PromptTooLong
from api.rag import Answers, Question
from api.rag.receipt import Done
from api.runtime import Message
from api.runtime.schemas import check_schema, violation
from api.runtime.threads import in_thread
from api.structured.functions import Function, parsed, read_source
from api.structured.sandbox import MEMORY_BYTES, SECONDS, Sandbox
from api.structured.values import fenced

MAX_TRIES = 3
_TASK = (
    "Write this function in Python. It has {seconds:g} seconds and {megabytes} MB; it reads no file and no network, "
    "and imports from the standard library alone.\n\n```python\n{stub}\n```\n\n{question}{result}\n\n"
    "Answer with the whole function in one block of code, under the same name and with the same parameters."
)
_RESULT = "\n\nWhat it returns holds this JSON schema:\n{schema}"
_AGAIN = "That does not do: {reason} Answer with the whole function once more."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A function by the source of its signature, what it is to return, and what it is called with; None: it is written
    and not called.
    """

    function: Function
    schema: Mapping[str, Any] | None
    arguments: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Implemented:
    """The last code, what it returned or why it returned nothing, and what each try took."""

    code: str
    value: Any
    reason: str | None
    tries: tuple[Done, ...]


async def wanted(
    stub: str,
    schema: Mapping[str, Any] | None,
    parameters: Mapping[str, Any],
    *,
    execute: bool,
) -> Wanted:
    """A checked order; `errors.InvalidOption` for a signature, a schema or parameters that are none."""
    functions = await in_thread(read_source, stub, "function", "function")
    if len(functions) > 1:
        names = ", ".join(one.name for one in functions)
        raise InvalidOption(f"function: one at a time; there are {names}.", where="function")
    (function,) = functions
    if schema is not None:
        await in_thread(check_schema, schema, "response_schema", "response_schema")
    if execute and (fault := await in_thread(violation, function.parameters, dict(parameters))):
        raise InvalidOption(f"parameters: {fault}.", where="parameters")
    return Wanted(function, schema, parameters if execute else None)


async def implemented(
    answers: Answers, question: Question, wanted: Wanted, sandbox: Sandbox
) -> Implemented:
    """The function, after at most `MAX_TRIES`: each time the model is told what was wrong with the last one, as long as
    that fits into its context.
    """
    await sandbox.open()
    *before, last = question.messages
    messages = [*before, replace(last, content=_asked(wanted, last.content))]
    tries: list[Done] = []
    code = ""
    value: Any = None
    reason: str | None = None
    while True:
        try:
            answer = await answers.whole(replace(question, messages=messages))
        except PromptTooLong:
            if not tries:
                raise
            return Implemented(code, value, reason, tuple(tries))  # what was said before stands
        tries.append(answer.done)
        code = code_in(answer.message)
        value, reason = await _tried(code, wanted, sandbox)
        if reason is None or len(tries) == MAX_TRIES:
            return Implemented(code, value, reason, tuple(tries))
        messages += [
            Message("assistant", answer.message),
            Message("user", _AGAIN.format(reason=reason)),
        ]


def code_in(text: str) -> str:
    """The code of an answer: its first block between fences, or all of it."""
    block = fenced(text)
    return (text if block is None else block).strip()


def _asked(wanted: Wanted, question: str) -> str:
    result = (
        ""
        if wanted.schema is None
        else _RESULT.format(schema=json.dumps(wanted.schema, ensure_ascii=False))
    )
    return _TASK.format(
        seconds=SECONDS,
        megabytes=MEMORY_BYTES // 2**20,
        stub=wanted.function.source.strip(),
        question=question,
        result=result,
    )


async def _tried(code: str, wanted: Wanted, sandbox: Sandbox) -> tuple[Any, str | None]:
    """What it returned, or what is wrong with it."""
    if fault := await in_thread(_unlike, code, wanted.function):
        return None, fault
    if wanted.arguments is None:
        return None, (await sandbox.define(code)).reason
    ran = await sandbox.call(code, wanted.function.name, wanted.arguments)
    if ran.reason or wanted.schema is None:
        return ran.value, ran.reason
    if fault := await in_thread(violation, wanted.schema, ran.value):
        return None, f"What it returned does not hold the schema: {fault}."
    return ran.value, None


def _unlike(code: str, function: Function) -> str | None:
    """Why it is not that function, None where it is."""
    try:
        body = parsed(code, "the code", "code").body
    except InvalidOption as error:
        return error.detail
    defined = [
        one for one in body if isinstance(one, ast.FunctionDef) and one.name == function.name
    ]
    if not defined:
        return f"The code defines no function {function.name}."
    arguments = defined[-1].args
    names = {one.arg for one in (*arguments.args, *arguments.kwonlyargs)}
    if missing := [name for name in function.parameters["properties"] if name not in names]:
        return f"{function.name} has no parameter {missing[0]}."
    return None
