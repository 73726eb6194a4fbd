"""What the service adds to llama.cpp, as ratios of one run: the same question to both over HTTP.

    .venv/bin/python scripts/bench_generate.py [--rounds 3] [--requests 40] [--clients 4]

Rows: a llama.cpp child alone, and the service over such a child as each of uvicorn's HTTP parsers and event loops
serves it. Columns: time to the first token of a stream (median, one after the other), answers a second (`--clients`
at once), and the processor time of the service itself for a streamed answer and for one `/healthz`, in which nothing
but the wire is at work.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from bench_servers import DEMO, converted, cpu_seconds, llama_child, processor, service

from api.__main__ import server_config
from api.http.protocol import HttpProtocol
from api.settings import Settings

QUESTION = "Hello, who are you?"
TOKENS = 16
PARSERS: dict[str, Any] = {"ours": HttpProtocol, "h11": "h11", "httptools": "httptools"}
SERVED = (("ours", "asyncio"), ("ours", "uvloop"), ("h11", "asyncio"), ("httptools", "uvloop"))
TOKEN_MARKS = ('"text": "', '"text":"', '"content":"')


@dataclass
class Row:
    """What was measured of one way to answer; a value a round."""

    name: str
    first_token_ms: list[float] = field(default_factory=list)
    answers_a_second: list[float] = field(default_factory=list)
    answer_cpu_ms: list[float] = field(default_factory=list)
    healthz_cpu_ms: list[float] = field(default_factory=list)


COLUMNS = {
    "first_token_ms": "first token, ms",
    "answers_a_second": "answers/s",
    "answer_cpu_ms": "answer, CPU ms",
    "healthz_cpu_ms": "/healthz, CPU ms",
}


@dataclass(frozen=True)
class Target:
    """Whom to ask, and how: `body` of a question, whole or as a stream."""

    client: httpx2.Client
    path: str
    body: Callable[[bool], dict[str, Any]]


def main() -> None:
    """Measure in turns, so that what else the machine does falls on all alike, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--serve", nargs=2, metavar=("PARSER", "LOOP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    child_row = Row("llama.cpp alone")
    rows = [Row(", ".join(way)) for way in SERVED]
    with tempfile.TemporaryDirectory() as temporary:
        model = converted(str(DEMO), "f16", Path(temporary) / "demo.gguf")
        with service(Path(temporary) / "data"):
            pass  # the first start converts
        for _ in range(options.rounds):
            with llama_child(model) as client:
                measure(child_row, Target(client, "/v1/chat/completions", chat_body), options)
            for row, way in zip(rows, SERVED, strict=True):
                with served(Path(temporary) / "data", *way) as (target, pid):
                    measure(row, target, options)
                    row.answer_cpu_ms.append(cpu_ms(pid, partial(stream, target), 100))
                    healthz = partial(target.client.get, "/healthz")
                    row.healthz_cpu_ms.append(cpu_ms(pid, healthz, 1000))
    show([child_row, *rows])


def show(rows: list[Row]) -> None:
    """Medians, and beside each its ratio to the first row that has one."""
    print(processor())
    print(f"{'':20}" + "".join(f"{title:>18} ratio" for title in COLUMNS.values()))
    for row in rows:
        line = f"{row.name:20}"
        for name in COLUMNS:
            values = getattr(row, name)
            if not values:
                line += f"{'-':>18}     -"
                continue
            first = statistics.median(next(getattr(r, name) for r in rows if getattr(r, name)))
            line += f"{statistics.median(values):18.2f} {statistics.median(values) / first:5.2f}"
        print(line)


def measure(row: Row, target: Target, options: argparse.Namespace) -> None:
    """Add one round to a row."""
    ask(target)  # loads what is not loaded
    waits = [first_token_seconds(target) for _ in range(options.requests // 2)]
    row.first_token_ms.append(statistics.median(waits) * 1000)
    began = time.monotonic()
    with ThreadPoolExecutor(options.clients) as clients:
        list(clients.map(lambda _: ask(target), range(options.requests)))
    row.answers_a_second.append(options.requests / (time.monotonic() - began))


def ask(target: Target) -> None:
    """One whole answer."""
    target.client.post(target.path, json=target.body(False)).raise_for_status()


def stream(target: Target) -> None:
    """One answer as a stream."""
    with target.client.stream("POST", target.path, json=target.body(True)) as response:
        response.raise_for_status()
        response.read()


def first_token_seconds(target: Target) -> float:
    """Until the first token of a stream."""
    began = time.monotonic()
    with target.client.stream("POST", target.path, json=target.body(True)) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if any(mark in line for mark in TOKEN_MARKS):
                return time.monotonic() - began
    sys.exit("no token came")


def cpu_ms(pid: int, work: Callable[[], object], times: int) -> float:
    """Processor time of a process for one of `times` repetitions."""
    before = cpu_seconds(pid)
    for _ in range(times):
        work()
    return (cpu_seconds(pid) - before) / times * 1000


def chat_body(is_stream: bool) -> dict[str, Any]:
    """The question as llama.cpp takes it."""
    messages = [{"role": "user", "content": QUESTION}]
    return {"messages": messages, "stream": is_stream, "max_tokens": TOKENS, "temperature": 0}


def generate_body(is_stream: bool) -> dict[str, Any]:
    """The question as `generate` takes it."""
    asked = {"modelName": "demo", "user_prompt": QUESTION, "temperature": 0}
    return {**asked, "stream": is_stream, "max_tokens": TOKENS}


@contextlib.contextmanager
def served(data_dir: Path, parser: str, loop: str) -> Iterator[tuple[Target, int]]:
    """The service with this parser and loop."""
    with service(data_dir, [sys.executable, __file__, "--serve", parser, loop]) as (client, pid):
        yield Target(client, "/generate", generate_body), pid


def serve(parser: str, loop: str) -> None:
    """Be that service."""
    from api.app import create_app

    settings = Settings()
    config = server_config(create_app(settings), settings.shutdown_seconds)
    config.http, config.loop = PARSERS[parser], loop
    config.host, config.port = settings.host, settings.port
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
