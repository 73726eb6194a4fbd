"""How long a start takes: until `/healthz` and until `/readyz`, beside a bare interpreter and the imports of the app.

    .venv/bin/python scripts/bench_start.py [--rounds 5] [--data-dir DIR]

The data folder is a fresh one, in which a start that is not counted has converted the models; or one of your own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from bench_servers import ROOT, SERVE, cpu_seconds, free_port, processor, wait_for


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a start: seconds since its beginning, and what the process had used."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def main() -> None:
    """Start again and again, and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, help="a data folder that nobody serves now")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = options.data_dir or Path(temporary)
        one_start(data_dir)
        rounds = [
            (*one_start(data_dir), python("pass"), python("import api.app"))
            for _ in range(options.rounds)
        ]
    alive, ready, bare, imports = zip(*rounds, strict=True)
    app = statistics.median(imports)
    print(f"{processor()}; medians of {options.rounds}")
    print(f"{'':16} {'seconds':>8} {'ratio':>6} {'CPU s':>6} {'MB':>6}")
    print(f"{'python':16} {statistics.median(bare):8.2f} {statistics.median(bare) / app:6.2f}")
    print(f"{'import api.app':16} {app:8.2f} {1:6.2f}")
    for name, marks in (("/healthz", alive), ("/readyz", ready)):
        seconds = statistics.median(mark.seconds for mark in marks)
        cpu = statistics.median(mark.cpu_seconds for mark in marks)
        size = statistics.median(mark.megabytes for mark in marks)
        print(f"{name:16} {seconds:8.2f} {seconds / app:6.2f} {cpu:6.2f} {size:6.0f}")


def python(program: str) -> float:
    """Seconds of an interpreter that runs it."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    return time.monotonic() - began


def one_start(data_dir: Path) -> tuple[Mark, Mark]:
    """Serve the folder on a free port until it is alive, and until it is ready; and end it."""
    port = free_port()
    environment = {"LLM_FASTAPI_DATA_DIR": str(data_dir), "LLM_FASTAPI_PORT": str(port)}
    client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    began = time.monotonic()
    server = subprocess.Popen(
        SERVE,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    marks = []
    try:
        for path in ("/healthz", "/readyz"):
            wait_for(client, path, server)
            size = psutil.Process(server.pid).memory_info().rss / 1e6
            marks.append(Mark(time.monotonic() - began, cpu_seconds(server.pid), size))
    finally:
        server.terminate()
        server.wait()
    return marks[0], marks[1]


if __name__ == "__main__":
    main()
