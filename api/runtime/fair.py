"""Answers in turn: a model answers so many at once, and the keys that wait for it do not hold each other up.

One key's five hundred requests do not hold up another's first: the keys that wait take turns, and each key's own
requests keep their order. Work that nobody waits for comes after all that somebody does, and leaves one of several
places free, so that who asks in between is answered at once. Whoever goes away gives the place back at once. When as
many wait as may, the key that waits most makes room for another.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from api.errors import TooManyRequests
from api.runtime import ModelRef, ModelRuntime, Piece, Usage, name_of
from api.runtime.over import AnswersOver, Asked

RETRY_SECONDS = 5


class Asking(NamedTuple):
    """Who asks: a key's id, and whether somebody waits for the answer."""

    key: str = ""
    in_background: bool = False


ASKING: ContextVar[Asking] = ContextVar("asking", default=Asking())  # noqa: B039  it is frozen
"""Set for each request by who knows the caller."""


@dataclass(slots=True)
class Spent:
    """Tokens that the answers of a request have taken so far, also one that turned out to be of no use.

    `beside` is what answers took that nobody is told of, which are rephrasings; `broken` how many pieces, of about a
    token each, came of answers that did not come to their end.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    beside_prompt: int = 0
    beside_completion: int = 0
    broken: int = 0

    def add(self, usage: Usage) -> None:
        """One answer more."""
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens

    def add_beside(self, usage: Usage) -> None:
        """One of them is told to nobody."""
        self.beside_prompt += usage.prompt_tokens
        self.beside_completion += usage.completion_tokens


SPENT: ContextVar[Spent | None] = ContextVar("spent", default=None)
"""Set for each request as well."""


class Line(NamedTuple):
    """Models that share their places: so many answers at once, and so many that may wait for one."""

    name: str
    places: int
    most_waiting: int


_Waiting = OrderedDict[str, deque[asyncio.Future[None]]]


@dataclass(slots=True)
class _Queue:
    """Of one model: how many are answered now, and who waits, by key: those that are waited for, and the others."""

    running: int = 0
    ahead: _Waiting = field(default_factory=OrderedDict)
    behind: _Waiting = field(default_factory=OrderedDict)

    @property
    def length(self) -> int:
        """How many wait."""
        return sum(len(one) for waiting in (self.ahead, self.behind) for one in waiting.values())


class Turns:
    """So many answers of a model, or of a back end, at once, and so many that may wait for one. Belongs to one event
    loop.
    """

    def __init__(
        self,
        places: int,
        most_waiting: int,
        waited: Callable[[str, float], None] = lambda _, __: None,
        line_of: Callable[[str], Line | None] = lambda _: None,
        waits_for: str = "this model",
    ) -> None:
        """`waited` is told of each model's answers how many seconds they waited for their place. `line_of` says of a
        model whose places it shares; by itself it has `places`. A refusal says what who asks `waits_for`.
        """
        self._line_of = line_of
        self._places = places
        self._waited = waited
        self._most_waiting = most_waiting
        self._waits_for = waits_for
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, model: str, asking: Asking) -> AsyncIterator[None]:
        """A place at a model, waited for; `errors.TooManyRequests` when too many wait already."""
        line = self._line(model)
        queue = self._queues.setdefault(line.name, _Queue())
        try:
            began = time.monotonic()
            await self._take(queue, model, asking)
            self._waited(model, time.monotonic() - began)
            try:
                yield
            finally:
                queue.running -= 1
                _serve(queue, self._line(model).places)
        finally:
            if not queue.running and not queue.length:
                self._queues.pop(line.name, None)

    def figures(self) -> dict[str, tuple[int, int]]:
        """How many answers run and how many wait, by model, or by the name of a line."""
        return {name: (queue.running, queue.length) for name, queue in self._queues.items()}

    def _line(self, model: str) -> Line:
        """Where it stands now: its places may have become more or fewer meanwhile."""
        return self._line_of(model) or Line(model, self._places, self._most_waiting)

    async def _take(self, queue: _Queue, model: str, asking: Asking) -> None:
        line = self._line(model)
        _serve(queue, line.places)
        before = queue.length if asking.in_background else len(queue.ahead)
        if not before and queue.running < _places(line.places, asking.in_background):
            queue.running += 1
            return
        if queue.length >= line.most_waiting:
            _make_room(queue, asking, self._waits_for)
        turn = asyncio.get_running_loop().create_future()
        waiting = queue.behind if asking.in_background else queue.ahead
        waiting.setdefault(asking.key, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.done() or turn.cancelled():
                _leave(waiting, asking.key, turn)
            elif turn.exception() is None:  # it was given the place in the same moment
                queue.running -= 1
                _serve(queue, self._line(model).places)
            raise


def _places(places: int, in_background: bool) -> int:
    """How many of the places work of that kind may have."""
    return max(1, places - 1) if in_background else places


def _serve(queue: _Queue, places: int) -> None:
    """Give the free places to those that wait, a key after the other."""
    while waiting := queue.ahead or queue.behind:
        if queue.running >= _places(places, waiting is queue.behind):
            return
        key, turns = next(iter(waiting.items()))
        turn = turns.popleft()
        waiting.move_to_end(key)
        if not turns:
            del waiting[key]
        if not turn.done():
            queue.running += 1
            turn.set_result(None)


def _make_room(queue: _Queue, asking: Asking, waits_for: str) -> None:
    """Turn the last one away of the key that waits most, where the asking one waits less; else who asks is too much.

    What is waited for turns away what is not, first.
    """
    refused = TooManyRequests(
        f"{queue.length} requests wait for {waits_for} already. Ask again later.",
        retry_after_seconds=RETRY_SECONDS,
    )
    crowd = queue.behind or queue.ahead
    is_own = crowd is (queue.behind if asking.in_background else queue.ahead)
    if not crowd or (asking.in_background and not is_own):
        raise refused
    key = max(crowd, key=lambda one: len(crowd[one]))
    if is_own and len(crowd[key]) <= len(crowd.get(asking.key, ())) + 1:
        raise refused
    turn = crowd[key].pop()
    if not crowd[key]:
        del crowd[key]
    if not turn.done():  # else it goes away just now, and has made the room
        turn.set_exception(refused)


def _leave(waiting: _Waiting, key: str, turn: asyncio.Future[None]) -> None:
    turns = waiting.get(key)
    if turns is not None and turn in turns:
        turns.remove(turn)
        if not turns:
            del waiting[key]


class FairRuntime(AnswersOver):
    """`ModelRuntime` whose answers have their turn."""

    def __init__(self, runtime: ModelRuntime, turns: Turns) -> None:
        super().__init__(runtime)
        self._turns = turns

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, when its turn has come."""
        async with self._turns.of(name_of(model), ASKING.get()):
            return await super().embed(model, texts)

    async def _answering(
        self, asked: Asked, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[Piece, None]:
        """The answer, when its turn has come; `errors.TooManyRequests` when too many wait."""
        spent, came = SPENT.get() or Spent(), 0
        try:
            async with self._turns.of(name_of(asked.model), ASKING.get()), aclosing(pieces):
                async for piece in pieces:
                    came += 1
                    if piece.usage:
                        spent.add(piece.usage)
                        came = 0
                    yield piece
        finally:
            spent.broken += came
