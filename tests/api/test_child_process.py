"""Every child is asked for its environment; and each ends with its parent, within its limits."""

import ast
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from api import child_process
from api.documents.extract import Bounds
from api.errors import BackEndFailed, Unavailable
from api.index.chroma import open_embedded
from api.models.bundled import BundledModel, BundledModels
from api.runners.local import LocalRunner
from api.runtime.llama_cpp import child as llama_cpp
from api.runtime.templates import check_template
from finetune.bases.gguf import make_gguf
from finetune.job.pipeline import Pipeline
from finetune.job.stage import StageFailed
from finetune.stages.quantize import quantize_file
from finetune.worker import Worker
from tests.documents.pdfs import pdf
from tests.documents.reading import extract
from tests.fakes import FakeRuntime
from tests.finetune.jobs import ROOT, new_job, tiny, wait_for
from tests.processes import children_running

pytestmark = pytest.mark.anyio

SECRETS = (
    *("LLM_FASTAPI_API_KEY", "LLM_FASTAPI_DATABASE_URL", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "NVIDIA_API_KEY", "NGC_API_KEY", "LLAMA_API_KEY"),
    *("HTTPS_PROXY", "https_proxy", "PGPASSWORD", "SSH_AUTH_SOCK", "GITHUB_TOKEN"),
)
NEEDED = {
    "CUDA_VISIBLE_DEVICES": "3",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "HIP_VISIBLE_DEVICES": "3",
    "HF_HOME": "/caches/hf",
    "XDG_CACHE_HOME": "/caches",
    "VIRTUAL_ENV": "/venv",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "LD_LIBRARY_PATH": "/nowhere",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}
ADDED_BY_PYTHON = {"LC_CTYPE"}
WHERE_IT_LIES = {"PYTHONPATH"}
"""The folder of the code, which the reader of documents is told: in the containers nothing is installed."""

Asked = Callable[[Path], Awaitable[object]]


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Secrets in our environment, and what children do need."""
    monkeypatch.chdir(ROOT)
    for name in SECRETS:
        monkeypatch.setenv(name, "planted")
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


class Watch:
    """The environments of all processes that begin below this one while it is open."""

    def __init__(self) -> None:
        self._before = psutil.Process().children()  # servers that other tests share
        self.seen: list[dict[str, str]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        ours = psutil.Process()
        copies: tuple[list[str], ...] = (
            [],
            ours.cmdline(),
        )  # between fork and exec it is still a copy of this process
        while not self._is_over.wait(0.01):  # none of the children is over sooner
            # one that ends while it is looked at is no longer of interest
            with contextlib.suppress(psutil.Error, OSError):
                started = [one for one in ours.children() if one not in self._before]
                for child in [
                    *started,
                    *(below for one in started for below in one.children(True)),
                ]:
                    before, environment = child.cmdline(), child.environ()
                    if before == child.cmdline() and before not in copies:
                        self.seen.append(environment)

    def __enter__(self) -> list[dict[str, str]]:
        self._thread.start()
        return self.seen

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


async def a_parser_of_pdfs(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(pdf("Hello"))
    await extract(folder / "a.pdf", Bounds(9, 9999, 30, 512 * 2**20))


async def a_template(folder: Path) -> None:
    assert check_template("{{ messages[-1].content }}") is None


async def a_probe_of_a_chroma_folder(folder: Path) -> None:
    open_embedded(folder / "chroma").close()
    (folder / "chroma.in_use").touch()
    open_embedded(folder / "chroma").close()


async def a_model(folder: Path) -> None:
    program = ROOT / "tests" / "runtime" / "programs" / "says_nothing.py"
    launch = llama_cpp.Launch(folder / "a.gguf", "", 512, 1, embeds=False)
    started = await llama_cpp.spawn(launch, llama_cpp.Limits(1, program=program))
    while not children_running(program.name):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    await started.stop()


async def a_server(folder: Path) -> None:
    served = (sys.executable, "-c", "import time; time.sleep(300)")
    env = child_process.environment()
    guard = await child_process.start_server(served, env=env, log=folder / "log.txt")
    while not psutil.Process(guard.pid).children():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.6)
    assert guard.stdin
    guard.stdin.close()
    await guard.wait()


async def the_devices_of_llama_cpp(folder: Path) -> None:
    with contextlib.suppress(Unavailable):
        await llama_cpp.devices()


async def the_converter_of_a_bundled_model(folder: Path) -> None:
    bundled = BundledModels(FakeRuntime(), [BundledModel("other", "nothing", "f16")], folder)
    with pytest.raises(BackEndFailed):
        await bundled.prepare("other")


async def a_pipeline_of_the_api(folder: Path) -> None:
    runner = LocalRunner((sys.executable, "-m", "tests.finetune.stages.pipeline"))
    job = new_job(folder / "job")
    runner.start(job)
    await asyncio.to_thread(wait_for, (job.path / "waiting").exists)
    runner.close()


async def a_pipeline_of_the_worker(folder: Path) -> None:
    job = new_job(folder / "job_0")
    (job.stage("waits").path / "checkpoint").touch()
    job.request_start()
    program = (sys.executable, "-m", "tests.finetune.stages.pipeline")
    await asyncio.to_thread(Worker(folder, program).run, until_idle=True)


async def a_stage(folder: Path) -> None:
    await asyncio.to_thread(Pipeline(new_job(folder / "job"), tiny("works")).run)


async def the_converter_of_a_base(folder: Path) -> None:
    with pytest.raises(StageFailed):
        make_gguf(folder / "nothing", folder / "out.gguf", "F16", "base")


async def a_quantizer_on_the_path(folder: Path) -> None:
    program = folder / "llama-quantize"
    program.write_text('#!/bin/sh\ncp "$1" "$2"; sleep 0.3\n')
    program.chmod(0o755)
    (folder / "a.gguf").write_bytes(b"GGUF")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        quantize_file(folder / "a.gguf", folder / "b.gguf", "Q8_0")


STRANGERS = (a_parser_of_pdfs, a_template, a_probe_of_a_chroma_folder)
COMPUTING = (
    a_model,
    a_server,
    the_devices_of_llama_cpp,
    the_converter_of_a_bundled_model,
    a_pipeline_of_the_api,
    a_pipeline_of_the_worker,
    a_stage,
    the_converter_of_a_base,
    a_quantizer_on_the_path,
)


@pytest.mark.parametrize("start", STRANGERS)
async def test_what_reads_a_strangers_file_is_told_nothing(start: Asked, tmp_path: Path) -> None:
    with Watch() as environments:
        await start(tmp_path)
    assert environments
    assert all(set(one) <= ADDED_BY_PYTHON | WHERE_IT_LIES for one in environments)


@pytest.mark.parametrize("start", COMPUTING)
async def test_what_computes_is_told_where_things_are_and_no_secret(
    start: Asked, tmp_path: Path
) -> None:
    with Watch() as seen:
        await start(tmp_path)
    environments = [one for one in seen if one]  # a process that just begins or ends shows none
    assert environments
    for environment in environments:
        assert "planted" not in environment.values()
        assert environment.items() >= NEEDED.items()
        assert environment["TMPDIR"] == str(tmp_path)
        assert str(ROOT) in environment["PYTHONPATH"]
        assert environment["HF_HUB_OFFLINE"] == "1"


def test_no_other_file_starts_a_process() -> None:
    starters = {"Popen", "check_call", "check_output", "create_subprocess_exec"}
    starters |= {"create_subprocess_shell", "subprocess_exec", "subprocess_shell", "Process"}
    starters |= {
        "ProcessPoolExecutor",
        "fork",
        "forkpty",
        "posix_spawn",
        "spawnv",
        "system",
        "popen",
    }
    files = [*(ROOT / "api").rglob("*.py"), *(ROOT / "finetune").rglob("*.py")]
    guilty = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and (
                called.attr in starters
                or ast.unparse(called) in {"subprocess.run", "subprocess.call"}
            ):
                guilty.add(path.relative_to(ROOT).as_posix())
    # a stage and a reader may be forked from a process that was started so itself
    guilty -= {"finetune/stages/__main__.py", "api/documents/reading/__main__.py"}
    assert guilty == {"api/child_process.py", "finetune/job/child_process.py"}


PARENT = """
import asyncio, sys
from api import child_process
from finetune.job import child_process as of_finetune

command = (sys.executable, "-c", "import time; time.sleep(300)")

async def main():
    bound = await child_process.start(command, env=child_process.NOTHING)
    beside = of_finetune.start(command, env=child_process.NOTHING)
    free = child_process.start_to_outlive_us(command, env=child_process.NOTHING)
    print(bound.pid, beside.pid, free.pid, flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a child with its parent")
def test_a_child_ends_with_its_parent_unless_it_is_to_outlive_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        *bound, free = map(int, parent.stdout.readline().split())
        time.sleep(0.1)
        assert all(is_alive(pid) for pid in (*bound, free))
        parent.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in bound))
    assert is_alive(free)
    os.kill(free, signal.SIGKILL)


SERVER = """
import signal, subprocess, sys, time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(started.pid, flush=True)
print("x" * 3_000_000, flush=True)
time.sleep(300)
"""
SERVING = """
import asyncio, sys
from pathlib import Path
from api import child_process

async def main():
    server = (sys.executable, "-c", sys.argv[2])
    guard = await child_process.start_server(
        server, env=child_process.environment(), log=Path(sys.argv[1])
    )
    print(guard.pid, flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


def test_a_server_ends_with_all_that_it_started_when_who_started_it_is_killed(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log.txt"
    command = [sys.executable, "-c", SERVING, str(log), SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        guard = psutil.Process(int(parent.stdout.readline()))
        wait_for(
            lambda: len(guard.children(recursive=True)) == 2 and len(list(tmp_path.iterdir())) == 2
        )
        below = [one.pid for one in guard.children(recursive=True)]
        parent.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in (guard.pid, *below)))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * 2**20 + 65536


LEAVING = """
import subprocess, sys

tracker = '''
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
sys.stdin.read()
time.sleep(0.3)
pathlib.Path(sys.argv[1]).touch()
'''
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
started = subprocess.Popen([sys.executable, "-c", tracker, sys.argv[1]], **pipes)
started.stdout.readline()
"""


@pytest.mark.anyio
async def test_what_a_server_leaves_may_clear_up_after_it(tmp_path: Path) -> None:
    cleared = tmp_path / "cleared"
    served = (sys.executable, "-c", LEAVING, str(cleared))
    log = tmp_path / "log.txt"
    guard = await child_process.start_server(served, env=child_process.environment(), log=log)
    assert await guard.wait() == 0
    assert cleared.exists()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_limits_hold_from_the_first_instruction_on() -> None:
    program = (
        "import resource as r;"
        "print([r.getrlimit(each) for each in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_CORE)])"
    )
    limits = child_process.Limits(memory_bytes=2**29, cpu_seconds=2, most_cpu_seconds=9)
    ended = child_process.run(
        (sys.executable, "-c", program), env=child_process.NOTHING, limits=limits
    )
    assert eval(ended.stdout) == [(2**29, 2**29), (2, 9), (0, 0), (0, 0)]  # noqa: S307


def test_a_program_that_is_not_there_is_told_in_a_line() -> None:
    ended = child_process.run(("/does/not/exist",), env=child_process.NOTHING)
    assert ended.returncode == 127
    assert ended.stderr == b"/does/not/exist cannot be started: No such file or directory.\n"


def test_a_child_that_takes_too_long_is_ended() -> None:
    slow = (sys.executable, "-c", "import time; time.sleep(300)")
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(TimeoutError):
        child_process.run(slow, env=child_process.NOTHING, seconds=0.2)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_a_training_knows_what_the_named_trackers_are_configured_by_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker.example.org")
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("OTHER_API_KEY", "secret")
    none, one = (
        child_process.training_environment(),
        child_process.training_environment("mlflow,other"),
    )
    assert not {"MLFLOW_TRACKING_URI", "WANDB_API_KEY", "LLM_FASTAPI_TRACKERS"} & none.keys()
    assert one["MLFLOW_TRACKING_URI"] == "http://tracker.example.org"
    assert not {"WANDB_API_KEY", "OTHER_API_KEY"} & one.keys()
    monkeypatch.setenv("LLM_FASTAPI_TRACKERS", one["LLM_FASTAPI_TRACKERS"])
    assert child_process.training_environment() == one
