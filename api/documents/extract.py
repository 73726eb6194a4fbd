"""Bytes to pages, in a child process with limits: a hostile file ends its child, and nothing else."""

import json
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from api import child_process
from api.documents.fork_server import ForkServer
from api.documents.reading.ocr import Recogniser
from api.documents.reading.requested import Request
from api.documents.reading.values import CPU_SECONDS, CPU_SECONDS_PER_PAGE
from api.documents.recognising import TITLES
from api.errors import DocumentUnusable
from api.store.contents import Extracted, Page

READER = "api.documents.reading"
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2])}
"""Of the reader: it is found beside this code, also where that is not installed, as in the containers."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the parser of one document may use and return."""

    pages: int
    characters: int
    seconds: float
    memory_bytes: int
    recogniser: Recogniser | None = None
    heads_in_rows: bool = False


def open_server() -> ForkServer:
    """What `extract` asks; nothing is started before that."""
    return ForkServer([sys.executable, "-P", "-s", "-m", READER], ENVIRONMENT)


async def extract(
    server: ForkServer, file: Path, bounds: Bounds, kind: str = "pdf", *, password: str = ""
) -> Extracted:
    """Read a document; `errors.DocumentUnusable` says why it cannot be used.

    The child gets the password over a socket: no list of processes shows it.
    """
    recogniser = bounds.recogniser if kind == "pdf" else None
    more = recogniser.seconds if recogniser else 0
    seconds = CPU_SECONDS + int(bounds.pages * CPU_SECONDS_PER_PAGE + more)
    request = Request(
        str(file),
        kind,
        bounds.pages,
        bounds.characters,
        child_process.Limits(bounds.memory_bytes, CPU_SECONDS, seconds).arguments(),
        password,
        asdict(recogniser) if recogniser else None,
        bounds.heads_in_rows,
    )
    try:
        child = await server.run(request.as_json(), bounds.seconds + more)
    except TimeoutError:
        raise _too_slow(kind) from None
    if child.code != 0:
        raise _why_it_ended(-child.code, bounds, kind)
    return await anyio.to_thread.run_sync(_read, child.answer, bounds, kind)


def _read(answer: bytes, bounds: Bounds, kind: str) -> Extracted:
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise _broken() from None
    if "reason" in found:
        if found["reason"] == "too_much_memory":
            raise _too_much_memory(bounds, kind)
        raise DocumentUnusable(found["reason"], found["detail"])
    return Extracted(
        title=found["title"],
        pages=tuple(Page(**page) for page in found["pages"]),
        unreadable=tuple(found["unreadable"]),
        notices=tuple(found["notices"]),
        language=found["language"],
    )


def _why_it_ended(number: int, bounds: Bounds, kind: str) -> DocumentUnusable:
    if number == signal.SIGXCPU:
        return _too_slow(kind)
    if number in {signal.SIGABRT, signal.SIGKILL}:
        return _too_much_memory(bounds, kind)  # PDFium aborts when it gets no memory
    return _broken()


def _broken() -> DocumentUnusable:
    return DocumentUnusable(
        "broken", "The file is damaged: the parser could not end its work on it."
    )


def _too_slow(kind: str) -> DocumentUnusable:
    return DocumentUnusable(
        "too_slow", f"Reading {TITLES[kind]} like this takes too long. {_way_out(kind)}"
    )


def _too_much_memory(bounds: Bounds, kind: str) -> DocumentUnusable:
    return DocumentUnusable(
        "too_much_memory",
        f"Reading {TITLES[kind]} like this needs more than {bounds.memory_bytes // 2**20} MiB of memory. "
        f"{_way_out(kind)}",
    )


def _way_out(kind: str) -> str:
    return f"{'Print it to a new PDF, or split' if kind == 'pdf' else 'Split'} it into parts."
