"""What a chat costs beyond its model: one back end asked directly, through the service, through LiteLLM's proxy.

    python -m venv /somewhere/litellm && /somewhere/litellm/bin/pip install 'litellm[proxy]'
    .venv/bin/python scripts/bench_gateway.py --litellm /somewhere/litellm/bin/litellm
    .venv/bin/python scripts/bench_gateway.py --streams 1000 [--apart]

The back end is a stand-in of fixed speed (`gateway_stand_in.py`), which speaks Ollama's API for the service and
OpenAI's for the others. Rounds change between the three. Printed of each: what it adds to the time to the first token,
requests a second, processor time a request, memory; and ratios. `--streams` holds that many open at once, of which a
tenth are read slowly, and tells the errors, the memory of the service, and how fast `/healthz` answers meanwhile.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
from bench_servers import cpu_seconds, cpu_seconds_of_all, free_port, processor, service, wait_for

HERE = Path(__file__).parent
MODEL = "stand-in"
MIB = 2**20
OPEN = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
"""Without a key, as the service beside it."""
HEALTH_SECONDS = 0.1
LOOKS_A_WEIGHING = 10
"""Of `/healthz`; to weigh a process is to look through all of them."""
SLOW_SECONDS = 1.0
"""Between two events of a slow reader, for whom the service goes on twice as fast."""
HELD_TOKENS, HELD_PAUSE = 80, 0.5
"""Of each stream that is held: two tokens a second for forty seconds."""


@dataclass
class Way:
    """A way to the back end, the process behind it, and what was measured: seconds to the first token, requests a
    second, and processor seconds a request.
    """

    url: str
    pid: int
    first: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)


@contextlib.contextmanager
def child(command: list[str], url: str, path: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server, ready when that path answers."""
    process = subprocess.Popen(
        command, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx2.Client(base_url=url, timeout=300) as client:
            wait_for(client, path, process)
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def stand_in(tokens: int, pause: float) -> Iterator[Way]:
    """The back end: answers of so many tokens, so many seconds apart."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = [sys.executable, str(HERE / "gateway_stand_in.py")]
    command = [*program, f"--port={port}", f"--tokens={tokens}", f"--pause={pause}"]
    with child(command, url, "/api/version") as process:
        yield Way(f"{url}/v1", process.pid)


@contextlib.contextmanager
def ours(back_end: Way, parallel: int) -> Iterator[Way]:
    """The service over the back end."""
    settings = {
        "LLM_FASTAPI_RUNTIME": "ollama",
        "LLM_FASTAPI_OLLAMA_URL": back_end.url.removesuffix("/v1"),
        "LLM_FASTAPI_DEFAULT_BASE_MODEL": MODEL,
        "LLM_FASTAPI_EMBEDDING_MODEL": "stand-in-embedder",
        "LLM_FASTAPI_PARALLEL_REQUESTS": str(parallel),
        "LLM_FASTAPI_LOG_LEVEL": "warning",
    }
    os.environ.update(settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder)) as (client, pid),
    ):
        yield Way(f"{client.base_url}/v1".replace("//v1", "/v1"), pid)


@contextlib.contextmanager
def litellm(program: Path, back_end: Way) -> Iterator[Way]:
    """LiteLLM's proxy over the back end, as its documents start it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = (
        f"model_list:\n- model_name: {MODEL}\n  litellm_params:\n"
        f"    model: openai/{MODEL}\n    api_base: {back_end.url}\n    api_key: none\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(config)
        file.flush()
        command = [str(program), f"--config={file.name}", f"--port={port}", "--host=127.0.0.1"]
        with child(command, url, "/health/liveliness", LITELLM_LOG="ERROR", **OPEN) as process:
            yield Way(f"{url}/v1", process.pid)


def body(**more: object) -> dict[str, object]:
    """A chat of one turn."""
    turns = [{"role": "user", "content": "How long does a light last?"}]
    return {"model": MODEL, "messages": turns, "stream": True, **more}


async def first_token(client: httpx2.AsyncClient, way: Way) -> float:
    """Seconds until the first content of a stream, which is then read to its end."""
    began, seconds = time.perf_counter(), 0.0
    async with client.stream("POST", f"{way.url}/chat/completions", json=body()) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if (
                not seconds
                and '"content"' in line
                and '"content":""' not in line.replace(": ", ":")
            ):
                seconds = time.perf_counter() - began
    return seconds


async def one_round(ways: Mapping[str, Way], requests: int, at_once: int) -> None:
    """Of each way: streams one after the other, then as many as can be had with some at once."""
    async with httpx2.AsyncClient(timeout=300) as client:
        for way in ways.values():
            way.first += [await first_token(client, way) for _ in range(requests // 4)]
            left = iter(range(requests))

            async def ask(way: Way = way, left: Iterator[int] = left) -> None:
                for _ in left:
                    await first_token(client, way)

            began, used = time.perf_counter(), cpu_seconds_of_all(way.pid)
            await asyncio.gather(*(ask() for _ in range(at_once)))
            way.rates.append(requests / (time.perf_counter() - began))
            way.used.append((cpu_seconds_of_all(way.pid) - used) / requests)


def memory(pid: int) -> int:
    """Bytes that a process and its children hold."""
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def percentiles(seconds: list[float]) -> list[float]:
    """The 50th, 95th and 99th, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return [cuts[at] * 1000 for at in (49, 94, 98)]


def compare(program: Path | None, rounds: int, requests: int, at_once: int) -> None:
    """Print what each way adds."""
    with contextlib.ExitStack() as stack:
        back_end = stack.enter_context(stand_in(16, 0.0))
        ways = {
            "directly": back_end,
            "llm-fastapi": stack.enter_context(ours(back_end, at_once)),
        }
        if program:
            ways["litellm"] = stack.enter_context(litellm(program, back_end))
        asyncio.run(one_round(ways, at_once, at_once))  # warm
        for way in ways.values():
            for measured in (way.first, way.rates, way.used):
                measured.clear()
        for _ in range(rounds):
            asyncio.run(one_round(ways, requests, at_once))
        base = percentiles(back_end.first)
        print(f"{processor()}; {rounds} rounds, {requests} requests, {at_once} at once")
        print("                 to the first token, ms more   requests   CPU ms a   memory")
        print("                    p50       p95       p99    a second   request       MiB")
        added = {}
        for name, way in ways.items():
            added[name] = [
                mine - its for mine, its in zip(percentiles(way.first), base, strict=True)
            ]
            told = "  ".join(f"{one:8.1f}" for one in added[name])
            rate, used = statistics.median(way.rates), statistics.median(way.used) * 1000
            print(f"{name:14} {told}  {rate:10.1f} {used:9.1f} {memory(way.pid) / MIB:9.0f}")
        if program:
            less = "  ".join(
                f"{mine / theirs:.2f}"
                for mine, theirs in zip(added["llm-fastapi"], added["litellm"], strict=True)
            )
            rates = [statistics.median(ways[name].rates) for name in ("llm-fastapi", "litellm")]
            print(
                f"llm-fastapi / litellm: added {less} (p50 p95 p99), requests {rates[0] / rates[1]:.2f}"
            )


async def read_stream(way: Way, slowly: bool) -> str:
    """What went wrong with a stream; nothing where it came whole. Over a bare socket: a thousand streams cost a client
    of HTTP more than they cost the service.
    """
    address, said = urlsplit(way.url), json.dumps(body()).encode()
    head = (
        f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        with contextlib.closing(writer):
            writer.write(head.encode() + said)
            status, last = await reader.readline(), b""
            async for line in reader:
                if line.startswith(b"data: "):
                    last = line
                    await asyncio.sleep(SLOW_SECONDS if slowly else 0)
    except OSError as error:
        return type(error).__name__
    if b" 200 " in status and last == b"data: [DONE]\n":
        return ""
    return f"{status.decode().strip()}, at last {last.decode()[:160]}"


def look(url: str, pid: int, over: Event, told: Connection) -> None:
    """What `/healthz` takes, the errors that it gave, and the memory of its process, looked at again and again by a
    process that does nothing else: one that reads a thousand streams beside it would measure itself.
    """
    healthy: list[float] = []
    errors = most = 0
    with httpx2.Client(timeout=60) as client:
        while not over.wait(HEALTH_SECONDS):
            began = time.perf_counter()
            try:
                client.get(url).raise_for_status()
            except httpx2.HTTPError:
                errors += 1
            healthy.append(time.perf_counter() - began)
            if len(healthy) % LOOKS_A_WEIGHING == 1:
                most = max(most, memory(pid))
    told.send((healthy, errors, most))


def apart(service: Way, back_end: Way) -> None:
    """Give the service a core for itself; the back end and who asks share the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(service.pid, {first})
    for pid in (back_end.pid, 0):
        os.sched_setaffinity(pid, others or {first})


async def hold(way: Way, back_end: Way, streams: int, opening: float, machine: str) -> None:
    """Hold that many streams at once, opened one after the other in so many seconds; print what came of it."""
    over, (answer, told) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
    address = way.url.removesuffix("/v1") + "/healthz"
    looking = multiprocessing.Process(target=look, args=(address, way.pid, over, told))
    looking.start()
    told.close()  # else nobody notices that it ended without a word

    async def later(number: int) -> str:
        await asyncio.sleep(opening * number / streams)
        return await read_stream(way, number % 10 == 0)

    used = cpu_seconds(way.pid)
    said = await asyncio.gather(*(later(number) for number in range(streams)))
    used = cpu_seconds(way.pid) - used
    over.set()
    healthy, failed, weight = answer.recv()
    looking.join()
    middle, _, slowest = percentiles(healthy)
    most = httpx2.get(back_end.url.removesuffix("/v1") + "/most").json()["most"]
    errors = Counter(filter(None, said))
    print(
        f"{machine}; {streams} streams, {streams // 10} of them read slowly, opened in {opening:g} s, {most} at once"
    )
    print(
        f"errors {errors.total()}, memory at most {weight / MIB:.0f} MiB, CPU {used / streams * 1000:.1f} ms a stream, "
        f"/healthz p50 {middle:.0f} ms, p99 {slowest:.0f} ms of {len(healthy)}, {failed} failed"
    )
    for error, count in errors.most_common():
        print(f"{count:5} x {error}")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--litellm", type=Path, help="the program `litellm`, in an environment of its own"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--streams", type=int, help="hold that many at once instead")
    parser.add_argument(
        "--opening", type=float, default=20, help="seconds in which those are opened"
    )
    parser.add_argument(
        "--apart", action="store_true", help="with --streams: give the service a core for itself"
    )
    asked = parser.parse_args()
    if asked.streams:
        with stand_in(HELD_TOKENS, HELD_PAUSE) as back_end, ours(back_end, asked.streams) as way:
            machine = processor()
            if asked.apart:
                apart(way, back_end)
                machine += ", one for the service"
            asyncio.run(hold(way, back_end, asked.streams, asked.opening, machine))
    else:
        compare(asked.litellm, asked.rounds, asked.requests, asked.at_once)


if __name__ == "__main__":
    main()
