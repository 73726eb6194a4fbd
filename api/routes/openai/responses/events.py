"""A response while it is made: what happens to an answer, as the events that tell a response to the SDKs."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from api.errors import ApiError
from api.http.observe import seen
from api.http.openai_errors import error_body
from api.http.problems import stamped
from api.http.sse import ServerEvent
from api.rag.receipt import (
    AnswerEvent,
    Citation,
    Done,
    Receipt,
    Retrieved,
    Token,
    Unanswered,
)
from api.rag.receipt import Reasoning as Thought
from api.routes.openai.in_turn import in_turn
from api.routes.openai.responses.items import new_id
from api.routes.openai.responses.objects import (
    Call,
    Characters,
    Event,
    Growing,
    Message,
    Reasoning,
    Refusal,
    Search,
)
from api.runtime import CallPiece
from api.store.collection_files import CollectionFile

JSON = dict[str, Any]
Keep = Callable[[JSON], Awaitable[bool]]
Files = Mapping[str, CollectionFile]
"""What documents are known by, by their ids."""
Named = Callable[[Sequence[str]], Awaitable[Files]]
CODES = {429: "rate_limit_exceeded"}
"""Why a response failed, in the few words that there are for it."""


class Writer:
    """Writes one response: `head` is what it says of its request. Where an answer `has_form`, one that no model gave
    is a refusal. `shows_results`: the passages that a search found are told.
    """

    def __init__(self, head: JSON, *, has_form: bool, shows_results: bool) -> None:
        self._has_form = has_form
        self._shows_results = shows_results
        self._has_searched = False
        self._files: Files = {}
        self._number = 0
        self._output: list[Growing] = []
        self._current: Growing | None = None
        self._cited: Message | None = None
        self._characters = Characters()
        self.response: JSON = {
            "id": new_id("resp"),
            "object": "response",
            "created_at": int(time.time()),
            "completed_at": None,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            **head,
            "output": [],
        }

    async def written(
        self, answer: AsyncGenerator[AnswerEvent, None], named: Named, keep: Keep
    ) -> AsyncGenerator[ServerEvent, None]:
        """The events of a response, each numbered; the last has all of it, and is sent when it is kept."""
        has_begun = False
        try:
            async with aclosing(in_turn(answer)) as events:
                async for event in events:
                    if not has_begun:
                        has_begun = True
                        yield self._event("response.created", response=dict(self.response))
                        yield self._event("response.in_progress", response=dict(self.response))
                    seen().pieces += isinstance(event, Token | Thought | CallPiece)
                    if isinstance(event, Done):  # before it is sent: a client may read no further
                        seen().add_tokens(event.prompt_tokens, event.completion_tokens)
                        ended = event
                    if isinstance(event, Retrieved):
                        self._files = await named([hit.document_id for hit in event.hits])
                    for kind, members in self._of(event):
                        yield self._event(f"response.{kind}", **members)
        except ApiError as error:
            if has_begun:
                yield self._failed(error)
            raise
        self._end(ended)
        self.response["store"] = self.response["store"] and await keep(self.response)
        yield self._event(f"response.{self.response['status']}", response=self.response)

    def failure(self, error: ApiError) -> ServerEvent:
        """What ends a stream that fails: the event `error`, with the object by which the SDKs raise it, too."""
        said = error_body(stamped(error.as_problem()))
        named = {name: said["error"][name] for name in ("code", "message", "param")}
        return self._event("error", **named, **said)

    def _failed(self, error: ApiError) -> ServerEvent:
        why = {"code": CODES.get(error.status, "server_error"), "message": error.detail}
        output = [one.item for one in self._output]
        self.response |= {"status": "failed", "error": why, "output": output}
        return self._event("response.failed", response=self.response)

    def _event(self, kind: str, **members: Any) -> ServerEvent:
        numbered = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return ServerEvent(kind, numbered)

    def _of(self, event: AnswerEvent) -> Iterator[Event]:
        """What an event of an answer is in a response."""
        match event:
            case Retrieved():
                yield from self._searched(event)
            case Thought():
                yield from self._thought(event.text)
            case Unanswered() if self._has_form:
                refusal = Refusal(len(self._output))
                yield from self._opened(refusal)
                yield from refusal.grow(event.text)
            case Token():
                yield from self._said(event)
            case CallPiece():
                yield from self._called(event)
            case Citation():
                message = self._cited or self._current
                if isinstance(message, Message):
                    yield from message.cite(event, self._files.get(event.document_id))
            case Receipt():
                self.response["receipt"] = asdict(event)
            case Done():
                yield from self._finished(event)

    def _searched(self, event: Retrieved) -> Iterator[Event]:
        self._has_searched = True
        search = Search(len(self._output))
        yield from self._opened(search)
        yield from search.found(event, self._files if self._shows_results else None)

    def _thought(self, text: str) -> Iterator[Event]:
        self._characters.thought += len(text)
        item = self._current
        if not isinstance(item, Reasoning):
            item = Reasoning(len(self._output))
            yield from self._opened(item)
        yield from item.grow(text)

    def _said(self, token: Token) -> Iterator[Event]:
        self._characters.said += len(token.text)
        item = self._current
        if not isinstance(item, Message):
            item = Message(len(self._output))
            yield from self._opened(item)
        if token.text or token.logprobs:
            yield from item.say(token.text, token.logprobs)

    def _called(self, piece: CallPiece) -> Iterator[Event]:
        """What is cited of a message is known at the end alone: it stays open beside the calls then."""
        self._characters.said += len(piece.arguments)
        item = self._current
        if self._has_searched and isinstance(item, Message):
            self._cited, self._current = item, None
        if piece.id or not isinstance(item, Call):
            item = Call(len(self._output), piece.id, piece.name)
            yield from self._opened(item)
        if piece.arguments:
            yield from item.grow(piece.arguments)

    def _finished(self, ended: Done) -> Iterator[Event]:
        if not any(isinstance(one, Message | Refusal | Call) for one in self._output):
            yield from self._said(Token(""))
        status = "incomplete" if ended.finish_reason == "length" else "completed"
        yield from self._closed(status)
        if self._cited:
            yield from self._cited.done("completed")

    def _opened(self, item: Growing) -> Iterator[Event]:
        """The next item, when the one before it has ended."""
        yield from self._closed("completed")
        self._output.append(item)
        self._current = item
        yield from item.added()

    def _closed(self, status: str) -> Iterator[Event]:
        if self._current:
            yield from self._current.done(status)
            self._current = None

    def _end(self, ended: Done) -> None:
        is_cut = ended.finish_reason == "length"
        self.response |= {
            "status": "incomplete" if is_cut else "completed",
            "completed_at": None if is_cut else int(time.time()),
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "output": [one.item for one in self._output],
            "usage": self._characters.usage(ended),
        }
