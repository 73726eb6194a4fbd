"""An answer on the wire: whole, one a document, or event by event. What it took goes into the request's log line."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from api.http.observe import seen
from api.http.sse import EventStream, ServerEvent, begun
from api.rag.receipt import (
    Answer,
    AnswerEvent,
    Citation,
    Done,
    Reasoning,
    Receipt,
    Retrieved,
    Token,
)
from api.runtime import CallPiece

Told = Token | Reasoning | CallPiece | Citation | Receipt | Done


class GenerateResponse(BaseModel):
    """The answer, what its markers [n] stand for, and how it came about."""

    message: str
    citations: list[Citation]
    receipt: Receipt


class UsageResponse(BaseModel):
    """What an answer took, in tokens."""

    prompt_tokens: int
    completion_tokens: int


def usage_of(done: Done) -> UsageResponse:
    """What it took; the log is told it, too."""
    _note(done)
    return UsageResponse(prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)


def whole_answer(answer: Answer) -> GenerateResponse:
    """One answer."""
    _note(answer.done)
    return GenerateResponse(
        message=answer.message, citations=list(answer.citations), receipt=answer.receipt
    )


def answers_by_name(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """The answers by document name, with their citations and receipts by the same names beside them."""
    for answer in answers.values():
        _note(answer.done)
    return {
        **{name: answer.message for name, answer in answers.items()},
        "citations": {
            name: [asdict(one) for one in answer.citations] for name, answer in answers.items()
        },
        "receipts": {name: asdict(answer.receipt) for name, answer in answers.items()},
    }


async def answer_stream(
    http: Request, answer: AsyncGenerator[AnswerEvent, None] | AsyncGenerator[Token | Done, None]
) -> EventStream:
    """One answer, event by event."""
    return await begun(http, _written(answer))


async def _written(
    answer: AsyncGenerator[AnswerEvent, None] | AsyncGenerator[Token | Done, None],
) -> AsyncGenerator[ServerEvent, None]:
    async with aclosing(answer):
        async for event in answer:
            seen().pieces += isinstance(event, Token | Reasoning | CallPiece)
            if not isinstance(event, Retrieved):
                yield _on_the_wire(event)


def _on_the_wire(event: Told) -> ServerEvent:
    match event:
        case Token():
            return ServerEvent("token", {"text": event.text})
        case Reasoning():
            return ServerEvent("reasoning", asdict(event))
        case CallPiece():
            return ServerEvent("tool_call", asdict(event))
        case Citation():
            return ServerEvent("citation", asdict(event))
        case Receipt():
            return ServerEvent("receipt", asdict(event))
        case Done():
            _note(event)
            usage = {
                "prompt_tokens": event.prompt_tokens,
                "completion_tokens": event.completion_tokens,
            }
            return ServerEvent("done", {"finish_reason": event.finish_reason, "usage": usage})


def _note(done: Done) -> None:
    seen().add_tokens(done.prompt_tokens, done.completion_tokens)
