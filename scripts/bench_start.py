"""How long a start takes: until `/healthz` and until `/readyz`, in seconds and in starts of a bare interpreter.

    .venv/bin/python scripts/bench_start.py [--data-dir DIR] [--rounds 5]

The data folder is best one that was served before, so that nothing has to be converted; a fresh one by default,
whose conversion is the first round and is not counted.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.01
CLIENT = httpx2.Client(timeout=30)


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds until it is alive and ready, and its processor time and memory at both."""

    alive_seconds: float
    alive_cpu_seconds: float
    alive_bytes: int
    ready_seconds: float
    ready_cpu_seconds: float
    ready_bytes: int


def main() -> None:
    """Start again and again, and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="a data folder that nobody serves now")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = options.data_dir or Path(temporary)
        one_start(data_dir)
        bare = statistics.median(one_interpreter() for _ in range(options.rounds))
        starts = [one_start(data_dir) for _ in range(options.rounds)]
    print(f"{processor()}; medians of {options.rounds} starts")
    print(f"{'':8} {'seconds':>8} {'bare starts':>12} {'CPU s':>6} {'MB':>6}")
    print(f"{'python':8} {bare:8.2f} {1:12.1f}")
    for name in ("alive", "ready"):
        seconds, cpu, size = (
            statistics.median(getattr(start, f"{name}_{what}") for start in starts)
            for what in ("seconds", "cpu_seconds", "bytes")
        )
        print(f"{name:8} {seconds:8.2f} {seconds / bare:12.1f} {cpu:6.2f} {size / 1e6:6.0f}")


def one_interpreter() -> float:
    """Seconds of a Python that does nothing."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    return time.monotonic() - began


def one_start(data_dir: Path) -> Start:
    """Serve the folder on a free port until it is ready, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"LLM_FASTAPI_DATA_DIR": str(data_dir), "LLM_FASTAPI_PORT": str(port)}
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        alive = waited_for(f"http://127.0.0.1:{port}/healthz", server, began)
        ready = waited_for(f"http://127.0.0.1:{port}/readyz", server, began)
    finally:
        server.terminate()
        server.wait()
    return Start(*alive, *ready)


def waited_for(url: str, server: subprocess.Popen[bytes], began: float) -> tuple[float, float, int]:
    """Seconds since `began` when the URL answers 200, and the processor seconds and bytes of the server then."""
    while server.poll() is None:
        try:
            if CLIENT.get(url).status_code == 200:
                process = psutil.Process(server.pid)
                times = process.cpu_times()
                seconds = time.monotonic() - began
                return seconds, times.user + times.system, process.memory_info().rss
        except httpx2.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    sys.exit(f"the server ended with {server.returncode}")


def processor() -> str:
    """What the machine calls its processor, and how many of its cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


if __name__ == "__main__":
    main()
