"""Answers as OpenAI's objects: a `chat.completion`, or its chunks."""

import secrets
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any

from api.http.observe import seen
from api.http.sse import ServerEvent
from api.rag.receipt import Answer, AnswerEvent, Citation, Done, Reasoning, Receipt, Token
from api.routes.openai.streams import DONE
from api.runtime import CallPiece, TokenLogprob, ToolCall

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What all pieces of one completion say alike."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def of(self, kind: str, **members: Any) -> dict[str, Any]:
        """An object of that kind."""
        said = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**said, **members}


def completion(head: Head, answer: Answer) -> JSON:
    """A whole answer."""
    seen().add_tokens(answer.done.prompt_tokens, answer.done.completion_tokens)
    return head.of("chat.completion", choices=[_choice(answer)], usage=_usage(answer.done))


async def chunks(
    head: Head, answer: AsyncGenerator[AnswerEvent, None], *, wants_usage: bool
) -> AsyncGenerator[ServerEvent, None]:
    """The answer's events as chunks: the role first, the finish reason last, then the usage if it is wanted."""
    written = _Chunks(head, {"usage": None} if wants_usage else {})
    async with aclosing(answer):
        async for event in answer:
            for one in written.of(event):
                yield ServerEvent("", one)
            if isinstance(event, Done):
                if wants_usage:
                    last = head.of("chat.completion.chunk", choices=[], usage=_usage(event))
                    yield ServerEvent("", last)
                yield DONE


class _Chunks:
    """Writes the chunks of one answer; citations wait for the last one, as the receipt does."""

    def __init__(self, head: Head, beside: JSON) -> None:
        self._head = head
        self._beside = beside
        self._has_begun = False
        self._cited: list[Citation] = []
        self._told: JSON = {}

    def of(self, event: AnswerEvent) -> Iterator[JSON]:
        """What is sent for an event."""
        if not self._has_begun:
            self._has_begun = True
            yield self._chunk({"role": "assistant", "content": ""})
        match event:
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
                seen().add_tokens(event.prompt_tokens, event.completion_tokens)
                yield self._chunk(self._told, event.finish_reason)

    def _chunk(
        self, delta: JSON, finish_reason: str | None = None, logprobs: JSON | None = None
    ) -> JSON:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return self._head.of("chat.completion.chunk", choices=[choice], **self._beside)


def _choice(answer: Answer) -> JSON:
    message: JSON = {"role": "assistant", "content": answer.message, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
        message["content"] = answer.message or None
    message |= _provenance(answer.citations, answer.receipt)
    return {
        "index": 0,
        "message": message,
        "finish_reason": answer.done.finish_reason,
        "logprobs": _logprobs(answer.logprobs),
    }


def _provenance(citations: Sequence[Citation], receipt: Receipt) -> JSON:
    """What OpenAI's answers do not have: where each statement stands, and how the answer came about."""
    return {"citations": [asdict(one) for one in citations], "receipt": asdict(receipt)}


def _usage(done: Done) -> dict[str, int]:
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
    }


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
