"""Runs Python that somebody else wrote, in a worker of Monty's, within bounds and inside bubblewrap where there is one.

The worker is a process that has no file, no connection, no environment and no module of ours, and it runs one call.
"""

import contextlib
import os
import shlex
import shutil
import sysconfig
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from api.errors import NotOpened, Unavailable
from api.runtime.fair import ASKING, Turns
from api.structured.values import NoValue, read

if TYPE_CHECKING:
    from pydantic_monty import Monty, ResourceLimits

SECONDS = 2.0
MEMORY_BYTES = 64 * 2**20
DEPTH = 200
"""Calls within calls."""
WORKERS = 2
MOST_WAITING = 64
"""Calls that may wait for a worker; the keys that wait take turns."""
MISSING = "Running functions needs the extra `functions`, which is not installed: pip install 'llm-fastapi[functions]'."
UNBOXED = (
    "Functions run in Monty's worker alone, and SQL in a locked process alone, for the machine has no bubblewrap "
    "(`bwrap`) that works. Install it to have both in a box too."
)
_OUTSIDE = 20
"""Times that code may ask for what is not there, such as a file or a name, before it is ended."""
_ADDRESS_SPACE_KB = 256 * 2**10
"""Of the worker with all it needs itself; 150 MB do."""
_CPU_SECONDS = 6
_ARGUMENTS = "_arguments"
_AS_JSON = """
import json as _json
from datetime import date as _date
def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, _date) else value
def _as_json(value):
    return _json.dumps(_plain(value), allow_nan=False)
"""
"""Written down where it is bounded: a list of lists that are one and the same is small there, and endless as JSON."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a function returned, as JSON has it, or why it returned nothing."""

    value: Any = None
    reason: str | None = None


class Sandbox:
    """Calls functions, a few at a time. It opens when it is first used: `errors.NotOpened` where it cannot."""

    def __init__(self, bubblewrap: str | None, seconds: float = SECONDS) -> None:
        """`bubblewrap` is the path of `bwrap`, None where there is none; a call takes `seconds` at most."""
        self.seconds = seconds
        self._bubblewrap = bubblewrap
        self._folder = contextlib.ExitStack()
        self._pool: Monty | None = None
        self._opening = threading.Lock()
        self._threads = anyio.CapacityLimiter(WORKERS)
        self._turns = Turns(WORKERS, MOST_WAITING, waits_for="a worker of the sandbox")
        self.is_boxed = False

    async def call(self, source: str, name: str, arguments: Mapping[str, Any]) -> Ran:
        """Run the source and call what it defines by that name. Whatever the code does, it ends in time.
        `errors.TooManyRequests` where too many calls wait.
        """
        return await self._run(f"{source}\n{_AS_JSON}_as_json({name}(**{_ARGUMENTS}))", arguments)

    async def define(self, source: str) -> Ran:
        """Run the source and call nothing."""
        return await self._run(f"{source}\n'null'", {})

    async def open(self) -> None:
        """Start the workers, where that has not been done."""
        if self._pool is None:
            await anyio.to_thread.run_sync(self._opened, limiter=self._threads)

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._close(self._pool)

    def _close(self, pool: "Monty") -> None:
        with self._opening:
            if self._pool is pool:
                self._pool = None
                pool.__exit__(None, None, None)
                self._folder.close()

    async def note(self) -> str:
        """What an operator should know of it, empty where all is well."""
        try:
            await self.open()
        except NotOpened as error:
            return error.detail
        return "" if self.is_boxed else UNBOXED

    async def _run(self, code: str, arguments: Mapping[str, Any]) -> Ran:
        async with self._turns.of("", ASKING.get()):
            return await anyio.to_thread.run_sync(
                self._call, code, dict(arguments), limiter=self._threads
            )

    def _call(self, code: str, arguments: dict[str, Any]) -> Ran:
        for _ in range(2):
            pool = self._opened()
            try:
                return _ran(pool, code, arguments, self.seconds)
            except RuntimeError:  # no worker starts: temporary folders lose what is old
                self._close(pool)
        raise Unavailable("The sandbox starts no worker. Try again.")

    def _opened(self) -> "Monty":
        with self._opening:
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _open(self) -> "Monty":
        """Workers by the first of the ways that works: boxed, bounded by the kernel, as they are."""
        try:
            import pydantic_monty
        except ImportError:
            raise NotOpened(MISSING) from None
        found = shutil.which("monty", path=sysconfig.get_path("scripts")) or shutil.which("monty")
        if not found:
            raise NotOpened(MISSING)
        worker = os.path.realpath(found)
        folder = Path(self._folder.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-")))
        ways = [(folder / "bounded", _bounded(["exec", worker]), False), (Path(worker), "", False)]
        if self._bubblewrap:
            ways.insert(0, (folder / "boxed", _bounded(box(self._bubblewrap, worker)), True))
        for path, program, is_boxed in ways:
            if program:
                path.write_text(program, encoding="utf-8")
                path.chmod(0o700)
            pool = pydantic_monty.Monty(
                binary_path=path,
                min_processes=0,
                max_processes=WORKERS,
                max_checkouts_per_worker=1,
                request_timeout=SECONDS + 1,
            )
            try:
                pool.__enter__()
                with pool.checkout(limits=_limits(SECONDS)) as session:
                    session.feed_run("1")
            except (pydantic_monty.MontyError, OSError, RuntimeError):
                pool.__exit__(None, None, None)
                continue
            self.is_boxed = is_boxed
            return pool
        raise NotOpened("Monty's worker does not start on this machine, so no function can run.")


def _bounded(command: Sequence[str]) -> str:
    """A shell program that starts the worker within the kernel's bounds. What is no `exec` ends with this shell."""
    bounds = f"ulimit -c 0; ulimit -f 0; ulimit -t {_CPU_SECONDS}; ulimit -v {_ADDRESS_SPACE_KB}"
    return f'#!/bin/sh\n{bounds}\n{shlex.join(command)} "$@"\nexit $?\n'


def alone(bubblewrap: str) -> list[str]:
    """How a command begins that runs in namespaces of its own: it sees the system's libraries, to read, and no more."""
    libraries = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
    seen = [word for path in libraries for word in ("--ro-bind-try", path, path)]
    return [
        bubblewrap,
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        *seen,
    ]


def box(bubblewrap: str, worker: str) -> list[str]:
    """The worker in namespaces of its own: it sees itself too."""
    return [*alone(bubblewrap), "--ro-bind", worker, "/worker", "/worker"]


def _ran(pool: "Monty", code: str, arguments: dict[str, Any], seconds: float) -> Ran:
    import pydantic_monty as monty

    try:
        with pool.checkout(
            limits=_limits(seconds), os_policy={"sleep": "zero"}, assert_message_annotations=False
        ) as session:
            value = session.feed_run(
                code, inputs={_ARGUMENTS: arguments}, print_callback=lambda _stream, _text: None
            )
        return Ran(read(value if isinstance(value, str) else ""))
    except NoValue as error:
        return Ran(reason=f"The function ran. {error}")
    except monty.MontyCrashedError:
        return Ran(
            reason=f"The function brought its worker to an end, or ran longer than {seconds:g} seconds."
        )
    except monty.MontyError as error:
        return Ran(reason=_told(str(error), seconds))


def _limits(seconds: float) -> "ResourceLimits":
    return {
        "max_feed_duration_secs": seconds,
        "max_turn_duration_secs": seconds,
        "max_memory": MEMORY_BYTES,
        "max_recursion_depth": DEPTH,
        "max_suspensions": _OUTSIDE,
        "max_total_sleep_secs": 0,
    }


def _told(error: str, seconds: float) -> str:
    """What ended a function, in our words where it was a bound."""
    if error.startswith("TimeoutError: feed time limit"):
        return f"It ran longer than {seconds:g} seconds."
    if error.startswith("MemoryError: memory limit"):
        return f"It needed more than {MEMORY_BYTES // 2**20} MB."
    return error[:500]
