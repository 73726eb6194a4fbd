"""Answers as OpenAI's objects: a `chat.completion`, or its chunks."""

import secrets
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any

from api.http.observe import seen
from api.http.sse import ServerEvent
from api.rag.receipt import (
    Answer,
    AnswerEvent,
    Citation,
    Done,
    Reasoning,
    Receipt,
    Token,
    Unanswered,
)
from api.routes.openai.streams import DONE
from api.runtime import CallPiece, TokenLogprob, ToolCall

JSON = dict[str, Any]
NOT_ASKED = ("nothing found", "not relevant")
"""Why a question over documents was put to no model."""


def new_id(kind: str) -> str:
    """An id of a thing of that kind."""
    return f"{kind}-{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class Head:
    """What all pieces of one completion say alike."""

    model: str
    id: str
    created: int = field(default_factory=lambda: int(time.time()))
    notice: str = ""
    """What was not done as asked."""

    def of(self, kind: str, **members: Any) -> dict[str, Any]:
        """An object of that kind."""
        said = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**said, **members, **({"notice": self.notice} if self.notice else {})}


def completion(head: Head, answers: Sequence[Answer], *, has_form: bool = False) -> JSON:
    """The whole answers to one question; where they must have a form, one that no model gave is a `refusal`."""
    usage = usage_of([answer.done for answer in answers], len(answers))
    seen().add_tokens(usage["prompt_tokens"], usage["completion_tokens"])
    choices = [_choice(number, answer, has_form) for number, answer in enumerate(answers)]
    return head.of("chat.completion", choices=choices, usage=usage)


async def chunks(
    head: Head,
    events: AsyncGenerator[tuple[int, AnswerEvent], None],
    number: int,
    *,
    wants_usage: bool,
    has_form: bool = False,
) -> AsyncGenerator[ServerEvent, None]:
    """The events of so many answers as chunks: of each the role first and the finish reason last, then the usage if it
    is wanted.
    """
    written = [
        _Chunks(head, index, {"usage": None} if wants_usage else {}, has_form)
        for index in range(number)
    ]
    ended: list[Done] = []
    async with aclosing(events):
        async for index, event in events:
            seen().pieces += isinstance(event, Token | Reasoning | CallPiece)
            if isinstance(event, Done):  # before it is sent: a client may read no further
                seen().add_tokens(0 if ended else event.prompt_tokens, event.completion_tokens)
                ended.append(event)
            for one in written[index].of(event):
                yield ServerEvent("", one)
    if wants_usage:
        usage = usage_of(ended, number)
        yield ServerEvent("", head.of("chat.completion.chunk", choices=[], usage=usage))
    yield DONE


class _Chunks:
    """Writes the chunks of one answer; citations wait for the last one, as the receipt does."""

    def __init__(self, head: Head, index: int, beside: JSON, has_form: bool) -> None:
        self._head = head
        self._index = index
        self._beside = beside
        self._has_form = has_form
        self._has_begun = False
        self._cited: list[Citation] = []
        self._told: JSON = {}

    def of(self, event: AnswerEvent) -> Iterator[JSON]:
        """What is sent for an event."""
        if not self._has_begun:
            self._has_begun = True
            yield self._chunk({"role": "assistant", "content": ""})
        match event:
            case Unanswered() if self._has_form:
                yield self._chunk({"refusal": event.text})
            case Token():
                yield self._chunk({"content": event.text}, logprobs=_logprobs(event.logprobs))
            case Reasoning():
                yield self._chunk({"reasoning_content": event.text})
            case CallPiece():
                yield self._chunk({"tool_calls": [_call_delta(event)]})
            case Citation():
                self._cited.append(event)
            case Receipt():
                self._told = _provenance(self._cited, event)
            case Done():
                yield self._chunk(self._told, event.finish_reason)

    def _chunk(
        self, delta: JSON, finish_reason: str | None = None, logprobs: JSON | None = None
    ) -> JSON:
        choice = {
            "index": self._index,
            "delta": delta,
            "finish_reason": finish_reason,
            "logprobs": logprobs,
        }
        return self._head.of("chat.completion.chunk", choices=[choice], **self._beside)


def _choice(number: int, answer: Answer, has_form: bool) -> JSON:
    message: JSON = {"role": "assistant", "content": answer.message, "refusal": None}
    if has_form and answer.receipt.refused_because in NOT_ASKED:
        message |= {"content": None, "refusal": answer.message}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
        message["content"] = answer.message or None
    message |= _provenance(answer.citations, answer.receipt)
    return {
        "index": number,
        "message": message,
        "finish_reason": answer.done.finish_reason,
        "logprobs": _logprobs(answer.logprobs),
    }


def _provenance(citations: Sequence[Citation], receipt: Receipt) -> JSON:
    """What OpenAI's answers do not have: where each statement stands, and how the answer came about."""
    return {"citations": [asdict(one) for one in citations], "receipt": asdict(receipt)}


def usage_of(ended: Sequence[Done], n: int) -> dict[str, int]:
    """What the answers took, `n` to each prompt one after the other; a prompt counts once, as with OpenAI."""
    prompt = sum(done.prompt_tokens for done in ended[::n])
    said = sum(done.completion_tokens for done in ended)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def _call(call: ToolCall) -> JSON:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _call_delta(piece: CallPiece) -> JSON:
    """The SDKs join the texts of later deltas: id, type and name stand in the first alone."""
    if not piece.id:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    function = {"name": piece.name, "arguments": piece.arguments}
    return {"index": piece.index, "id": piece.id, "type": "function", "function": function}


def _logprobs(tokens: Sequence[TokenLogprob]) -> JSON | None:
    if not tokens:
        return None
    return {
        "content": [
            {**_logprob(one), "top_logprobs": [_logprob(top) for top in one.top]} for one in tokens
        ],
        "refusal": None,
    }


def _logprob(one: TokenLogprob) -> JSON:
    return {"token": one.token, "logprob": one.logprob, "bytes": one.bytes}
