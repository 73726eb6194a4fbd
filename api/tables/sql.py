"""One SELECT over tables, run by DuckDB in a child that can do nothing else; what it asks of models is asked here.

The child has no environment, writes no file, and sees the tables alone, to read; where the machine has bubblewrap it
has no connection either, and no other file. Whatever the query does, its child ends in time.
"""

import asyncio
import contextlib
import importlib.util
import json
import signal
import struct
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from anyio.to_thread import run_sync

from api import child_process
from api.batches.values import Ask
from api.errors import NotOpened, NotReady, Unavailable
from api.runtime.fair import ASKING, Turns
from api.runtime.threads import in_thread
from api.structured.sandbox import alone
from api.tables.model_calls import ModelCalls
from api.tables.refusals import QueryUnusable, missing
from api.tables.sql_child import MAX_FRAME_BYTES

SECONDS = 30.0
"""Of a child's own work; the time that models take to answer it does not count."""
MEMORY_BYTES = 512 * 2**20
"""Of DuckDB's data, which it spills to no disk."""
COUNT_SECONDS = 5.0
"""Of it at most, to count the rows that are left out."""
MAX_ANSWER_BYTES = 8 * 2**20
WORKING = 4
"""Children that work at once; one for which models answer just now is none of them."""
OF_A_KEY = 4
"""Children of one key, whether they work or not, and queries of databases."""
MOST_WAITING = 64
"""Queries of a key that may wait for a child."""
LIBRARIES = ("duckdb", "pyarrow")
PROGRAM = Path(__file__).with_name("sql_child.py")
_LIMITS = child_process.Limits(2**31, cpu_seconds=60, most_cpu_seconds=60)
"""DuckDB and Python take a gigabyte of addresses before they have any data."""
_PROBE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query gives, cells as JSON has them; `left_out`: how many rows more there are, None where nobody knows."""

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]
    left_out: int | None


class _Place(NamedTuple):
    """How the child is started, and where it sees a table that lies at a path."""

    command: Sequence[str]
    tables: Mapping[str, str]


class Sql:
    """Runs queries, a few at a time. `errors.NotOpened` where a library is missing."""

    def __init__(
        self,
        bubblewrap: str | None,
        seconds: float = SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        working: int = WORKING,
    ) -> None:
        """`bubblewrap` is the path of `bwrap`, None where there is none; `seconds` is how long a child may work."""
        self._memory_bytes = memory_bytes
        self._bubblewrap = bubblewrap
        self._seconds = seconds
        self._boxes: bool | None = None
        self._ask: Ask | None = None
        self._children = Turns(OF_A_KEY, MOST_WAITING, waits_for="a process for SQL")
        self._working = Turns(working, sys.maxsize)

    def start(self, ask: Ask) -> None:
        """From now on queries may ask models; `ask` sends a request in the name of a key."""
        self._ask = ask

    def calls(self, key: str, most: int) -> ModelCalls | None:
        """What a query asks of models in the name of that key, none where there may be none."""
        if not most:
            return None
        if self._ask is None:
            raise NotReady("The service is starting; models can be asked from SQL when it has.")
        return ModelCalls(self._ask, key, most)

    async def run(
        self, query: str, tables: Mapping[str, Path], limit: int, calls: ModelCalls | None = None
    ) -> Rows:
        """The first `limit` rows; without `calls` there are no functions that ask models. Cancelling it ends the child.

        `QueryUnusable` for what is no SELECT, what DuckDB refuses, and what needs too much.
        """
        if any(importlib.util.find_spec(one) is None for one in LIBRARIES):
            raise NotOpened(missing("SQL over tables needs"))
        asking = ASKING.get()
        async with self.turn():
            place = self._placed(tables, boxed=await self._is_boxed())
            process = await child_process.start(
                place.command,
                env=child_process.NOTHING,
                limits=_LIMITS,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
            )
            request = {
                "query": query,
                "tables": place.tables,
                "limit": limit,
                "max_bytes": MAX_ANSWER_BYTES,
                "memory_bytes": self._memory_bytes,
                "asks_models": calls is not None,
            }
            try:
                working = partial(self._working.of, "", asking)
                return await _Talk(process, self._seconds, working, calls).rows(request)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                with anyio.CancelScope(shield=True):
                    await process.wait()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """One of the places of the key that asks, waited for."""
        asking = ASKING.get()
        return self._children.of(asking.key, asking)

    async def _is_boxed(self) -> bool:
        """Whether bubblewrap works here; tried once."""
        if self._boxes is None:
            self._boxes = self._bubblewrap is not None and await run_sync(self._tried)
        return self._boxes

    def _tried(self) -> bool:
        command = [*self._box({}), *_PYTHON, "-c", "pass"]
        try:
            ran = child_process.run(command, env=child_process.NOTHING, seconds=_PROBE_SECONDS)
        except (TimeoutError, OSError):
            return False
        return ran.returncode == 0

    def _placed(self, tables: Mapping[str, Path], *, boxed: bool) -> _Place:
        if not boxed:
            seen = {name: str(path.resolve()) for name, path in tables.items()}
            return _Place([*_PYTHON, str(PROGRAM)], seen)
        inside = {name: f"/tables/{number}.parquet" for number, name in enumerate(tables)}
        files = {inside[name]: str(path.resolve()) for name, path in tables.items()}
        return _Place([*self._box(files), *_PYTHON, "/program.py"], inside)

    def _box(self, files: Mapping[str, str]) -> list[str]:
        """The box with Python, the program and these files in it, to read."""
        assert self._bubblewrap  # noqa: S101  who calls has asked
        seen = {one: one for one in (sys.base_prefix, sys.prefix)}
        seen |= {"/program.py": str(PROGRAM), **files}
        words = [word for there, here in seen.items() for word in ("--ro-bind", here, there)]
        return [*alone(self._bubblewrap), *words]


_PYTHON = (sys.executable, "-I")


class _Talk:
    """What is said with one child, in frames: a length of four bytes and so much JSON."""

    def __init__(
        self,
        process: Process,
        seconds: float,
        working: Callable[[], AbstractAsyncContextManager[None]],
        calls: ModelCalls | None,
    ) -> None:
        """`working` is entered for as long as the child works."""
        assert process.stdin  # noqa: S101  it was started so
        assert process.stdout  # noqa: S101
        self._process, self._to, self._from = process, process.stdin, process.stdout
        self._seconds = self._left = seconds
        self._working = working
        self._calls = calls
        self._megabytes = 0

    async def rows(self, request: Mapping[str, Any]) -> Rows:
        """What the query gives, after all that models were asked for it."""
        self._megabytes = request["memory_bytes"] // 2**20
        said = await self._answered(request)
        if "error" in said:
            raise self._refused(said)
        if self._calls and self._calls.too_many:
            raise self._calls.too_many
        left_out = 0 if said["is_all"] else await self._left_out()
        return Rows(said["columns"], said["types"], said["rows"], left_out)

    async def _answered(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """What the child says in the end, told something and then all answers that it asks for."""
        while True:
            async with self._working():
                await self._send(told)
                said = await self._receive()
            if "asks" not in said:
                return said
            assert self._calls  # noqa: S101  else it has no such functions
            told = {"answers": await self._calls.answers(said["asks"], said["left"])}

    async def _left_out(self) -> int | None:
        self._left = min(self._left, COUNT_SECONDS)
        try:
            async with self._working():
                counted = await self._receive()
        except QueryUnusable:  # it takes longer, or more than it may have
            return None
        left_out: int | None = counted["left_out"]
        return left_out

    async def _send(self, said: Mapping[str, Any]) -> None:
        text = await in_thread(_written, said)
        with contextlib.suppress(ConnectionError):  # it has ended: what it said last is read next
            self._to.write(struct.pack(">I", len(text)) + text)
            await self._to.drain()

    async def _receive(self) -> dict[str, Any]:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                (length,) = struct.unpack(">I", await self._from.readexactly(4))
                if length > MAX_FRAME_BYTES:
                    raise self._too_much()
                text = await self._from.readexactly(length)
        except TimeoutError:
            raise self._too_slow() from None
        except asyncio.IncompleteReadError:
            raise await self._ended() from None
        self._left -= time.monotonic() - began
        said: dict[str, Any] = await in_thread(json.loads, text)
        return said

    def _refused(self, said: Mapping[str, Any]) -> QueryUnusable:
        if self._calls and self._calls.too_many:  # what follows of an answer that was not given
            return self._calls.too_many
        if said.get("needs_memory"):
            return self._too_much()
        return QueryUnusable(f"The query cannot be run: {said['error']}", where="query")

    async def _ended(self) -> QueryUnusable | Unavailable:
        """Why there is no answer; of a child in a box the box tells its signal as 128 and its number."""
        code = await self._process.wait()
        number = -code if code < 0 else code - 128
        if number == signal.SIGXCPU:
            return self._too_slow()
        if number in (signal.SIGKILL, signal.SIGABRT):
            return self._too_much()
        if number > 0:
            return QueryUnusable("The query brought its process to an end.", where="query")
        return Unavailable("The process that runs SQL does not start. Try again.")

    def _too_much(self) -> QueryUnusable:
        return QueryUnusable(
            f"The query makes more data than the {self._megabytes} MB that it may have.",
            where="query",
        )

    def _too_slow(self) -> QueryUnusable:
        return QueryUnusable(
            f"The query takes longer than {self._seconds:g} seconds.", where="query"
        )


def _written(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said).encode()
