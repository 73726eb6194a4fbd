"""How every child process starts: with an environment by allow-list, within limits, and bound to its parent.

Standard library only; the api starts its children this way too.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"),
        *("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE"),
        *("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_TF32_OVERRIDE"),
        *("GPU_DEVICE_ORDINAL", "RAYON_NUM_THREADS", "NUMEXPR_NUM_THREADS", "MALLOC_ARENA_MAX"),
        *("CC", "CXX", "GLIBC_TUNABLES"),
    }
)
PASSED_ON_PREFIXES = (
    *("LC_", "XDG_", "PYTHON"),
    *(
        "CUDA_",
        "CUDNN_",
        "CUBLAS",
        "NCCL_",
        "ROCM_",
        "ROCR_",
        "HIP_",
        "HSA_",
        "VK_",
        "ZE_",
        "ONEAPI_",
    ),
    *("TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TRITON_", "BNB_", "GGML_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("VLLM_CPU_", "VLLM_LOGGING_", "VLLM_USE_", "VLLM_WORKER_"),
)
"""Where programs, libraries, caches and devices are, the language, and how many threads. No prefix under which keys
are kept: `NVIDIA_API_KEY`, `HF_TOKEN`, `LLAMA_API_KEY` are some.
"""

TRACKERS = "LLM_FASTAPI_TRACKERS"
TRACKERS_PREFIXES = ("MLFLOW_", "WANDB_")

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""The Hugging Face libraries call nobody, and their threads do not end with a fork."""

LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use that reads what a stranger wrote. It writes no file above `file_bytes`: none at all.

    It may raise `cpu_seconds` itself, up to `most_cpu_seconds`.
    """

    memory_bytes: int
    cpu_seconds: int
    most_cpu_seconds: int
    file_bytes: int = 0

    def arguments(self) -> list[str]:
        """As the child is told them: the kernel's name of each, soft and hard."""
        return [
            *("CORE:0:0", f"FSIZE:{self.file_bytes}:{self.file_bytes}"),
            f"AS:{self.memory_bytes}:{self.memory_bytes}",
            f"CPU:{self.cpu_seconds}:{self.most_cpu_seconds}",
        ]


class BrokeOff(Exception):
    """A child ended before it had said all."""


def environment(*prefixes: str) -> dict[str, str]:
    """What a child that computes may know of our environment: no key of ours or of anybody else; and what its library
    is configured by, under these prefixes.
    """
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith((*PASSED_ON_PREFIXES, *prefixes))
    }
    return passed_on | OFFLINE


def training_environment(trackers: str | None = None) -> dict[str, str]:
    """`environment`, and for the trackers of a training, as `LLM_FASTAPI_TRACKERS` names them, what they are configured
    by: addresses and keys of those alone. Of several GPUs it sees the first: it trains on one.
    """
    named = os.environ.get(TRACKERS, "") if trackers is None else trackers
    prefixes = tuple(f"{name.strip().upper()}_" for name in named.split(",") if name.strip())
    configured = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(tuple(one for one in prefixes if one in TRACKERS_PREFIXES))
    }
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    one_gpu = {"CUDA_VISIBLE_DEVICES": gpu}
    return environment() | configured | one_gpu | ({TRACKERS: named} if named else {})


def bound(
    command: Sequence[str], ending: signal.Signals = signal.SIGKILL, limits: Limits | None = None
) -> list[str]:
    """The command as a child of this process: it gets the signal `ending` when the thread that starts it is gone
    (Linux).
    """
    told = limits.arguments() if limits else []
    return [*LAUNCHER, str(os.getpid()), str(int(ending)), *told, "--", *command]


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    outlives_us: bool = False,
    limits: Limits | None = None,
    **streams: Any,
) -> "subprocess.Popen[bytes]":
    """Start a child that gets SIGTERM when we end, unless it `outlives_us`. `streams` are those of `Popen`."""
    started = command if outlives_us else bound(command, signal.SIGTERM, limits)
    return subprocess.Popen(started, env=env, stdin=subprocess.DEVNULL, **streams)  # noqa: S603  the commands are ours


def lines(
    command: Sequence[str], *, env: Mapping[str, str], limits: Limits | None = None
) -> Generator[bytes, None, None]:
    """What a child writes, line by line; it ends when nobody listens any more. Raises `BrokeOff`."""
    child = start(command, env=env, limits=limits, stdout=subprocess.PIPE)
    try:
        yield from child.stdout or ()
        if child.wait() != 0:
            raise BrokeOff
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    ending: signal.Signals = signal.SIGKILL,
    limits: Limits | None = None,
    input: bytes = b"",
    seconds: float | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a child to its end and take what it writes. Raises `TimeoutError` when it is not there in time."""
    try:
        return subprocess.run(  # noqa: S603  the commands are ours
            bound(command, ending, limits),
            env=env,
            input=input,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
