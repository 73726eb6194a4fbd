"""Answers that programs can use, as fields of a question: a value by a schema, or calls of functions."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.http.observe import seen
from api.http.request_body import invalid
from api.rag import Question
from api.routes.original.answers import GenerateResponse, whole_answer
from api.services import Services
from api.structured.calling import called
from api.structured.extracting import Form, extracted

MAX_FUNCTIONS = 128


class ValueFields(BaseModel):
    """What of an answer a program can use."""

    model_config = ConfigDict(extra="forbid")

    response_schema: dict[str, Any] | None = Field(
        None,
        description="A JSON schema: the answer comes with a `value` that holds it, or null and the `reason`. Over "
        "documents it is read out of the answer, which has its citations.",
    )
    response_after_chat: bool = Field(
        False,
        description="Answer freely first, then read the value out of that answer: a second call, for models that "
        "think worse in JSON.",
    )
    answer_template: str | None = Field(
        None,
        description="Your own words that ask for the value, with `{question}`, `{schema}` and, after chat or over "
        "documents, `{answer}` in them; a brace of the text is written twice.",
    )
    functions: tuple[str | dict[str, Any], ...] | None = Field(
        None,
        max_length=MAX_FUNCTIONS,
        description="Functions that the model may call instead of answering: typed Python source, or JSON schemas as "
        "OpenAI writes them (`name`, `description`, `parameters`).",
    )
    execute_functions: bool = Field(
        False, description="Run what is called, in a sandbox: `values` has what came back."
    )

    @property
    def asks_for_values(self) -> bool:
        """Whether anything but text is wanted."""
        return self.response_schema is not None or bool(self.functions)


class ValueResponse(GenerateResponse):
    """The answer and its value; null and the reason where there is none."""

    value: Any
    reason: str | None


class CalledFunction(BaseModel):
    """A call that the model asks for; `reason` says why it cannot be made, or what ended it."""

    name: str
    arguments: Any
    reason: str | None


class CallsResponse(GenerateResponse):
    """The calls, and what each returned where they were made; an answer in words where there is none."""

    calls: list[CalledFunction]
    values: list[Any] | None


def require_values_sense(
    request: ValueFields, others: Mapping[str, bool], *, over_documents: bool
) -> None:
    """A 422 for fields that need another one, or go with none of those that are said beside them."""
    if request.response_schema is None:
        for name in ("response_after_chat", "answer_template"):
            if getattr(request, name):
                raise invalid(name, "Needs a `response_schema`.")
    if request.execute_functions and not request.functions:
        raise invalid("execute_functions", "There are no `functions`.")
    if request.functions and request.response_schema is not None:
        raise invalid("functions", "A value or calls: leave `response_schema` or `functions` out.")
    if request.functions and over_documents:
        raise invalid("functions", "A question over documents calls none; leave one of them out.")
    for name, is_said in others.items():
        if is_said and request.asks_for_values:
            raise invalid(name, "A value or calls come whole, and once; leave this out.")


async def structured_answer(
    request: ValueFields, question: Question, services: Services
) -> ValueResponse | CallsResponse:
    """The answer with its value, or with the calls."""
    if request.response_schema is not None:
        return await _valued(request, request.response_schema, question, services)
    sandbox = services.sandbox if request.execute_functions else None
    done = await called(services.answers, question, request.functions or (), sandbox)
    return CallsResponse(
        **dict(whole_answer(done.answer)),
        calls=[
            CalledFunction(name=one.name, arguments=one.arguments, reason=one.reason)
            for one in done.calls
        ],
        values=[one.value for one in done.calls] if sandbox else None,
    )


async def _valued(
    request: ValueFields, schema: Mapping[str, Any], question: Question, services: Services
) -> ValueResponse:
    form = Form(schema, request.response_after_chat, request.answer_template or "")
    found = await extracted(services.answers, question, form)
    if found.asked:
        seen().add_tokens(found.asked.prompt_tokens, found.asked.completion_tokens)
    return ValueResponse(**dict(whole_answer(found.answer)), value=found.value, reason=found.reason)
