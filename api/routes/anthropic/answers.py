"""Answers as Anthropic's objects: a `message`, or the events of one."""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from api.http.observe import seen
from api.http.sse import ServerEvent
from api.rag.receipt import Answer, AnswerEvent, Citation, Done, Reasoning, Receipt, Token
from api.routes.openai.in_turn import in_turn
from api.runtime import CallPiece, FinishReason, ToolCall

JSON = dict[str, Any]
STOPS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}


def message(id: str, answer: Answer, notice: str = "") -> JSON:
    """A whole answer, with its receipt, and a notice if any, as members that Anthropic does not have."""
    seen().add_tokens(answer.done.prompt_tokens, answer.done.completion_tokens)
    blocks: list[JSON] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": ""})
    if answer.message or not answer.calls:
        blocks.append(_text(answer.message, answer.citations))
    blocks += [_call(one) for one in answer.calls]
    stop = _stop(answer.done, bool(answer.calls))
    said = _message(id, answer.receipt.model, blocks, stop, _usage(answer.done))
    return {**said, **_noticed(notice), "receipt": asdict(answer.receipt)}


async def events(
    id: str, model: str, answer: AsyncGenerator[AnswerEvent, None], notice: str = ""
) -> AsyncGenerator[ServerEvent, None]:
    """The events of an answer. What the prompt took is known at the end alone, and told in `message_delta`."""
    nothing = _usage(Done("stop", 0, 0))
    begun = {**_message(id, model, [], None, nothing), **_noticed(notice)}
    start: JSON | None = {"message": begun}
    blocks = _Blocks()
    async with aclosing(in_turn(answer)) as told:
        async for event in told:
            seen().pieces += isinstance(event, Token | Reasoning | CallPiece)
            if isinstance(event, Done):  # before it is sent: a client may read no further
                seen().add_tokens(event.prompt_tokens, event.completion_tokens)
            if start:
                yield _event("message_start", **start)
                start = None
            for one in blocks.of(event):
                yield one
    yield _event("message_stop")


class _Blocks:
    """Writes the blocks of an answer, one after the other."""

    def __init__(self) -> None:
        self._number = -1
        self._open: str | int | None = None
        """What the last block is: text, thinking, or the call of that index."""
        self._has_called = False
        self._told: JSON = {}

    def of(self, event: AnswerEvent) -> Iterator[ServerEvent]:
        """What is sent for an event of the answer."""
        match event:
            case Token() if event.text:
                yield from self._begin("text", {"type": "text", "text": ""})
                yield self._delta("text_delta", text=event.text)
            case Reasoning():
                begun = {"type": "thinking", "thinking": "", "signature": ""}
                yield from self._begin("thinking", begun)
                yield self._delta("thinking_delta", thinking=event.text)
            case CallPiece():
                self._has_called = True
                called = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                yield from self._begin(event.index, called)
                yield self._delta("input_json_delta", partial_json=event.arguments)
            case Citation():
                yield from self._begin("text", {"type": "text", "text": ""})
                yield self._delta("citations_delta", citation=_citation(event))
            case Receipt():
                self._told = {"receipt": asdict(event)}
            case Done():
                if self._open is None:
                    yield from self._begin("text", {"type": "text", "text": ""})
                yield from self._end()
                delta = {"stop_reason": _stop(event, self._has_called), "stop_sequence": None}
                yield _event("message_delta", delta=delta, usage=_usage(event), **self._told)

    def _begin(self, kind: str | int, block: JSON) -> Iterator[ServerEvent]:
        """Another block, unless one of that kind is being written."""
        if self._open == kind:
            return
        yield from self._end()
        self._open = kind
        self._number += 1
        yield _event("content_block_start", index=self._number, content_block=block)

    def _end(self) -> Iterator[ServerEvent]:
        if self._open is not None:
            yield _event("content_block_stop", index=self._number)
            self._open = None

    def _delta(self, kind: str, **members: Any) -> ServerEvent:
        delta = {"type": kind, **members}
        return _event("content_block_delta", index=self._number, delta=delta)


def _noticed(notice: str) -> JSON:
    return {"notice": notice} if notice else {}


def _event(kind: str, **members: Any) -> ServerEvent:
    return ServerEvent(kind, {"type": kind, **members})


def _message(id: str, model: str, blocks: Sequence[JSON], stop: str | None, usage: JSON) -> JSON:
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(blocks),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def _text(text: str, citations: Sequence[Citation]) -> JSON:
    cited = [_citation(one) for one in citations]
    return {"type": "text", "text": text, **({"citations": cited} if cited else {})}


def _citation(one: Citation) -> JSON:
    """`document_index` counts the passages, as the marks in the text do, from 0; the members of ours stand beside."""
    return {
        **asdict(one),
        "type": "page_location",
        "cited_text": one.quote,
        "document_index": one.n - 1,
        "document_title": one.document,
        "file_id": None,
        "start_page_number": one.page,
        "end_page_number": one.page + 1,
    }


def _call(call: ToolCall) -> JSON:
    """A call; of one whose arguments are no object in JSON, or were cut off, nothing can be told but its name."""
    given = _told_again(call.arguments)
    input = given if isinstance(given, dict) else {}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": input}


def _told_again(arguments: str) -> Any:
    """What a model wrote, as JSON has it: half a surrogate pair is a question mark, and no number is endless."""
    try:
        said = json.dumps(json.loads(arguments), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return json.loads(said.encode(errors="replace"))


def _stop(done: Done, has_called: bool) -> str:
    """Why it ended; a call that had to be is one here too."""
    is_call = has_called and done.finish_reason != "length"
    return "tool_use" if is_call else STOPS[done.finish_reason]


def _usage(done: Done) -> dict[str, int]:
    return {
        "input_tokens": done.prompt_tokens,
        "output_tokens": done.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
