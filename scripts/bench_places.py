"""Many streams at once on a back end of few places: who is answered, who is told to come again, and what it takes.

    .venv/bin/python scripts/bench_places.py --streams 1000 --places 8

The service, over real sockets, names the model of a stand-in of fixed speed (`gateway_stand_in.py`) as a back end. The
streams are opened within some seconds; who gets a 429 waits for as long as its `Retry-After` says and asks again, until
it is answered. Printed: answers and what got lost, refusals and those without `Retry-After`, how many the stand-in ever
had at once, and the memory of the service before, at most, and after.
"""

import argparse
import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2
from bench_gateway import MIB, MODEL, Way, memory, ours, stand_in
from bench_servers import processor

NAME = "behind"
TOKENS, PAUSE = 16, 0.02
"""Of each answer: a third of a second."""
LOOK_SECONDS = 0.2
GIVEN_UP_SECONDS = 600.0


@dataclass
class Seen:
    """What came of all streams."""

    ends: Counter[str] = field(default_factory=Counter)
    refusals: int = 0
    unsaid: int = 0
    waits: list[float] = field(default_factory=list)
    most_bytes: int = 0


async def ask(client: httpx2.AsyncClient, way: Way, seen: Seen) -> None:
    """Ask until there is an answer, as a client that keeps to `Retry-After` does."""
    body = {"model": NAME, "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    began, tries = time.perf_counter(), 0
    try:
        async with asyncio.timeout(GIVEN_UP_SECONDS):
            while True:
                tries += 1
                async with client.stream(
                    "POST", f"{way.url}/chat/completions", json=body
                ) as answer:
                    lines = [line async for line in answer.aiter_lines() if line]
                if answer.status_code != httpx2.codes.TOO_MANY_REQUESTS:
                    break
                seen.refusals += 1
                after = answer.headers.get("retry-after")
                seen.unsaid += after is None
                await asyncio.sleep(float(after or 1))
        is_whole = answer.status_code == httpx2.codes.OK and lines[-1] == "data: [DONE]"
        end = "answered" if is_whole else f"{answer.status_code}: {lines[-1][:120]}"
    except (httpx2.HTTPError, TimeoutError) as error:
        end = f"{type(error).__name__} at try {tries}"
    seen.ends[end] += 1
    seen.waits.append(time.perf_counter() - began)


async def soak(way: Way, streams: int, opening: float) -> Seen:
    """All of them, opened one after the other in so many seconds."""
    seen = Seen()

    async def look() -> None:
        while True:
            seen.most_bytes = max(seen.most_bytes, memory(way.pid))
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=None, limits=limits) as client:

        async def later(number: int) -> None:
            await asyncio.sleep(opening * number / streams)
            await ask(client, way, seen)

        await asyncio.gather(*(later(number) for number in range(streams)))
    looking.cancel()
    return seen


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--queued", type=int, default=100)
    parser.add_argument("--opening", type=float, default=20)
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        back_end = stack.enter_context(stand_in(TOKENS, PAUSE))
        way = stack.enter_context(ours(back_end, asked.places))
        made = {
            "base_url": back_end.url,
            "models": {NAME: MODEL},
            "max_concurrency": asked.places,
            "max_queued": asked.queued,
        }
        with httpx2.Client(base_url=way.url.removesuffix("/v1"), timeout=60) as client:
            client.post("/backends/far", json=made).raise_for_status()
            asyncio.run(soak(way, 2 * asked.places, 0))  # warm
            before, began = memory(way.pid), time.perf_counter()
            seen = asyncio.run(soak(way, asked.streams, asked.opening))
            took = time.perf_counter() - began
            most = client.get(f"{back_end.url.removesuffix('/v1')}/most").json()["most"]
        after = memory(way.pid)
    waits = sorted(seen.waits)
    for line in (
        f"{processor()}; {asked.streams} streams, opened in {asked.opening:g} s",
        f"{asked.places} places, {asked.queued} may wait; at once at the back end {most} at most",
        f"{dict(seen.ends)} in {took:.0f} s; {seen.refusals} refusals, {seen.unsaid} without Retry-After",
        f"waited {waits[len(waits) // 2]:.1f} s half of them, {waits[-1]:.1f} s all",
        f"memory {before / MIB:.0f} MiB, at most {seen.most_bytes / MIB:.0f}, afterwards {after / MIB:.0f}",
    ):
        print(line)


if __name__ == "__main__":
    main()
