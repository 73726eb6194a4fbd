"""A value out of an answer: the model is held to a schema, and what it wrote is held against it once more."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from api.errors import InvalidOption, PromptTooLong
from api.models.prompt_template import names_in
from api.rag import Answers, Question
from api.rag.receipt import Answer, Done
from api.runtime import Message, Options
from api.runtime.schemas import CheckedSchema, check_schema, violation
from api.runtime.threads import in_thread
from api.structured.closed import closed
from api.structured.values import NoValue, read

ASKED_AT_ONCE = "{question}\n\nAnswer with JSON that holds this schema:\n{schema}"
ASKED_AFTERWARDS = (
    "Question:\n{question}\n\nAnswer:\n{answer}\n\n"
    "Write down what the answer says as JSON that holds this schema:\n{schema}"
)
TEMPLATE = "answer_template"
_PARTS = ("question", "answer", "schema")


@dataclass(frozen=True, slots=True)
class Form:
    """What a value must be, and how it is asked for: at once, or out of an answer that was given freely before.

    `template` are the words that ask for it in the place of ours, with `{question}`, `{schema}`, afterwards `{answer}`.
    """

    schema: Mapping[str, Any]
    afterwards: bool = False
    template: str = ""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The answer, the value or why there is none, and what the call that asked for it alone took."""

    answer: Answer
    value: Any
    reason: str | None
    asked: Done | None = None


async def extracted(answers: Answers, question: Question, form: Form) -> Extracted:
    """The value of an answer. Over documents it is always asked for afterwards, so that the answer has its citations.
    `errors.InvalidOption` for a schema or a template that is none.
    """
    afterwards = form.afterwards or bool(question.names)
    form = replace(form, afterwards=afterwards)
    check_form(form)
    await in_thread(check_schema, form.schema, "response_schema", "response_schema")
    if not afterwards:
        answer = await _held(answers, question, form, {})
        return await _read(answer, answer, form, None)
    answer = await answers.whole(question)
    if answer.receipt.refused:
        return Extracted(answer, None, "The documents hold no answer.")
    told = replace(
        question, documents=(), collection="", sources=None, variables={}, as_it_stands=True
    )
    try:
        second = await _held(answers, told, form, {"answer": answer.message})
    except PromptTooLong as error:
        return Extracted(answer, None, error.detail)
    return await _read(answer, second, form, second.done)


def check_form(form: Form) -> None:
    """`InvalidOption` for a template that names anything but its parts, or one of them twice."""
    names = names_in(form.template, TEMPLATE)
    known = _PARTS if form.afterwards else ("question", "schema")
    if not set(names) <= set(known):
        told = ", ".join(f"{{{name}}}" for name in known)
        raise InvalidOption.at(
            TEMPLATE, f"only {told} stand for something. Write other braces twice."
        )
    if len(set(names)) < len(names):
        raise InvalidOption.at(TEMPLATE, "a part may stand in it once.")


async def _held(
    answers: Answers, question: Question, form: Form, parts: Mapping[str, str]
) -> Answer:
    """An answer that is held to the schema. The words that ask for it take the place of the last turn; what was said
    before is told only where the question itself is asked.
    """
    *before, last = question.messages
    usual = ASKED_AFTERWARDS if form.afterwards else ASKED_AT_ONCE
    schema = json.dumps(form.schema, ensure_ascii=False)
    said = (form.template or usual).format(question=last.content, schema=schema, **parts)
    turns = [] if form.afterwards else before
    asking = replace(
        question,
        messages=[*turns, Message("user", said, last.images)],
        options=exact(question.options, closed(form.schema)),
    )
    with about("response_schema"):
        return await answers.whole(asking)


def exact(options: Options, schema: Mapping[str, Any]) -> Options:
    """The likeliest tokens unless the request wants others, and nothing thought first: then llama.cpp writes no blanks
    between them, of which a small model finds no end. Stop texts would end the value anywhere.
    """
    temperature = 0.0 if options.temperature is None else options.temperature
    held = replace(options, json_schema=CheckedSchema(schema), stop=(), think=False)
    return replace(held, temperature=temperature)


@contextmanager
def about(field: str) -> Iterator[None]:
    """A schema that a back end refuses is that of this field, for no other was sent."""
    try:
        yield
    except InvalidOption as error:
        if error.extra.get("where") != "response_format":
            raise
        raise InvalidOption(error.detail, where=field) from error


async def _read(answer: Answer, held: Answer, form: Form, asked: Done | None) -> Extracted:
    try:
        value = read(held.message)
    except NoValue as error:
        is_cut = held.done.finish_reason == "length"
        reason = (
            "The value was cut off. Ask for more max_tokens."
            if is_cut
            else f"The model gave no value. {error}"
        )
        return Extracted(answer, None, reason, asked)
    if fault := await in_thread(violation, form.schema, value):
        return Extracted(
            answer, None, f"The model's answer does not hold the schema: {fault}.", asked
        )
    return Extracted(answer, value, None, asked)
