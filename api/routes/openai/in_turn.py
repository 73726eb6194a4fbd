"""Calls one after the other, for forms of an answer in which one thing ends before the next begins."""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from api.rag.receipt import AnswerEvent, Done
from api.runtime import CallPiece


async def in_turn(answer: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer, where a model writes several calls at once those of each call together.

    A call's pieces pass as they come. Those of another one wait until its arguments are whole, or the answer ends; what
    follows whole arguments, blanks at most, is left out.
    """
    calls = _Calls()
    async with aclosing(answer):
        async for event in answer:
            if isinstance(event, CallPiece):
                for piece in calls.of(event):
                    yield piece
                continue
            if isinstance(event, Done):
                for piece in calls.left():
                    yield piece
            yield event


class _Calls:
    """Which call is being told, and the pieces of the others."""

    def __init__(self) -> None:
        self._told: int | None = None
        self._arguments = ""
        self._waiting: dict[int, list[CallPiece]] = defaultdict(list)
        self._ended: set[int | None] = set()

    def of(self, piece: CallPiece) -> Iterator[CallPiece]:
        """What can be told now that this has come."""
        if self._told in (None, piece.index):
            yield from self._tell(piece)
        elif piece.index not in self._ended:
            self._waiting[piece.index].append(piece)
        while self._waiting and _is_whole(self._arguments):
            yield from self._next()

    def left(self) -> Iterator[CallPiece]:
        """All that has waited."""
        while self._waiting:
            yield from self._next()

    def _next(self) -> Iterator[CallPiece]:
        self._ended.add(self._told)
        self._told = next(iter(self._waiting))
        self._arguments = ""
        for piece in self._waiting.pop(self._told):
            yield from self._tell(piece)

    def _tell(self, piece: CallPiece) -> Iterator[CallPiece]:
        self._told = piece.index
        self._arguments += piece.arguments
        yield piece


def _is_whole(arguments: str) -> bool:
    if not arguments[-9:].rstrip().endswith("}"):  # spares most readings of what is growing
        return False
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return False
    return True
