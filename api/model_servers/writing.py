"""What a program that serves a model has to bring, a `Writer`, and the desk where it writes for who waits."""

import asyncio
import os
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

SAMPLING = frozenset(
    {
        *("max_tokens", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed"),
        *("frequency_penalty", "presence_penalty", "logit_bias"),
    }
)
"""Parameters that a writer may take."""
STUCK = 75
"""The exit status of a process whose writer went on after its client had left."""


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended, and how many tokens it took where the writer counts them."""

    reason: Literal["stop", "length"] = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


Said = str | End
Writing = Generator[Said, None, None]
"""The pieces of an answer; the last one is its `End`."""


class Refused(Exception):
    """A request that is answered with an error; `param` is what is wrong in it."""

    def __init__(self, message: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


class Writer(Protocol):
    """A loaded model. Its methods block; what they give is asked for in a thread, piece by piece."""

    name: str
    context_length: int
    """In tokens; 0 where nobody knows."""
    takes: frozenset[str]
    """Of `SAMPLING`, and `stop` where it ends by itself at one."""
    at_once: int
    """Answers that it writes side by side."""
    stuck_seconds: float
    """So long it may go on after its client has left."""

    def chat(self, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> Writing:
        """An answer to a conversation."""
        ...

    def complete(self, prompt: str | list[int], options: Mapping[str, Any]) -> Writing:
        """How a text, or one as its tokens, goes on."""
        ...

    def tokens(self, said: Mapping[str, Any]) -> list[int]:
        """Those of the `messages` or the `prompt` of a request to vLLM's `/tokenize`."""
        ...


def options_of(body: Mapping[str, Any], takes: Collection[str]) -> dict[str, Any]:
    """What a writer is given of a request; `Refused` for what it would have to leave out."""
    said = dict(body)
    if said.get("max_completion_tokens") is not None:
        said["max_tokens"] = said["max_completion_tokens"]
    chosen = {name: said[name] for name in SAMPLING if said.get(name) is not None}
    _require_numbers(chosen)
    if said.get("stop"):
        chosen["stop"] = _stops(said["stop"])
    for name in sorted(chosen.keys() - set(takes) - {"max_tokens", "stop"}):
        raise Refused(f"{name}: this model does not take it.", param=name)
    if said.get("n") not in (None, 1):
        raise Refused("n: one answer a request.", param="n")
    form = said.get("response_format")
    if form and not (isinstance(form, Mapping) and form.get("type") == "text"):
        raise Refused(
            "response_format: this server holds no answer to a form.", param="response_format"
        )
    for name in ("tools", "logprobs"):
        if said.get(name):
            raise Refused(f"{name}: this server has none.", param=name)
    return chosen


def _require_numbers(chosen: Mapping[str, Any]) -> None:
    for name in chosen.keys() - {"logit_bias"}:
        if isinstance(chosen[name], bool) or not isinstance(chosen[name], int | float):
            raise Refused(f"{name}: a number.", param=name)
    if chosen.get("max_tokens", 1) < 1:
        raise Refused("max_tokens: at least one.", param="max_tokens")


def _stops(said: Any) -> list[str]:
    stops = [said] if isinstance(said, str) else said
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise Refused("stop: a text, or several.", param="stop")
    return stops


class Desk:
    """Where a writer works. A piece is asked for when the last one was taken, so that nothing piles up.

    Who is stuck after the client has left holds a thread for ever: then the process ends, and who started it starts
    another.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._places = asyncio.Semaphore(writer.at_once)
        self._threads = ThreadPoolExecutor(writer.at_once, "writer")
        self._leaving: set[asyncio.Task[None]] = set()

    async def written(
        self, begin: Callable[[], Writing], stops: Collection[str]
    ) -> AsyncGenerator[Said, None]:
        """What is written, up to a stop, and its `End`; `Refused` when the writer fails."""
        loop = asyncio.get_running_loop()
        pieces: Writing | None = None
        await self._places.acquire()
        working: asyncio.Future[Any] = loop.run_in_executor(self._threads, _tried, begin)
        try:
            pieces = until(
                await asyncio.shield(working), stops, drains="stop" in self._writer.takes
            )
            while True:
                working = loop.run_in_executor(self._threads, _tried, next, pieces, End())
                one = await asyncio.shield(working)
                yield one
                if isinstance(one, End):
                    return
        finally:
            task = loop.create_task(self._leave(working, pieces))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _leave(self, working: "asyncio.Future[Any]", pieces: Writing | None) -> None:
        """Let the next one to the desk once the thread has come back."""
        await self._back(working)
        if pieces is not None:
            loop = asyncio.get_running_loop()
            await self._back(loop.run_in_executor(self._threads, _tried, pieces.close))
        self._places.release()

    async def _back(self, working: "asyncio.Future[Any]") -> None:
        seconds = self._writer.stuck_seconds
        await asyncio.wait([working], timeout=seconds)
        if not working.done():
            sys.stderr.write(
                f"An answer went on for {seconds:g} seconds after its client had left: the process ends.\n"
            )
            sys.stderr.flush()
            os._exit(STUCK)
        with suppress(asyncio.CancelledError):
            working.exception()  # who waited for it was told, or is gone


class Stops:
    """Takes a text in pieces and gives what stands before the first stop. What may begin one is held back."""

    def __init__(self, stops: Collection[str]) -> None:
        self.is_met = False
        self._stops = stops
        self._held = ""
        self._held_back = max((len(stop) - 1 for stop in stops), default=0)

    def take(self, piece: str) -> str:
        """What can be said now."""
        if self.is_met:
            return ""
        self._held += piece
        at = min((n for stop in self._stops if (n := self._held.find(stop)) >= 0), default=-1)
        self.is_met = at >= 0
        if not self.is_met:
            at = max(0, len(self._held) - self._held_back)
        said, self._held = self._held[:at], "" if self.is_met else self._held[at:]
        return said

    def rest(self) -> str:
        """What was held back, at the end."""
        return self._held


def until(pieces: Writing, stops: Collection[str], *, drains: bool) -> Writing:
    """The pieces before the first stop, and an end. A writer that `drains` ends there by itself, and its end counts."""
    text = Stops(stops)
    with closing(pieces):
        for piece in pieces:
            if isinstance(piece, End):
                if rest := text.rest():
                    yield rest
                yield piece
                return
            if said := text.take(piece):
                yield said
            if text.is_met and not drains:
                yield End()
                return


def _tried(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call of the writer gives; whatever it raises is told in the log, and as `Refused` to who asked."""
    try:
        return call(*arguments)
    except Refused:
        raise
    except BaseException as error:  # even an exit: it is of one answer, not of the process
        traceback.print_exc()
        raise Refused(f"{type(error).__name__}: {error}", 500) from None
