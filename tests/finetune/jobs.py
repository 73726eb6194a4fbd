"""Job directories for tests, and ways to run them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from finetune.data.rows import Conversation
from finetune.job.directory import JobDirectory
from finetune.job.events import Event
from finetune.job.pipeline import Stage
from finetune.job.spec import FineTuneSpec

ROOT = Path(__file__).parent.parent.parent
DEMO_MODEL = ROOT / "examples" / "demo_model"
PATIENCE_SECONDS = 300.0


def tiny(*names: str) -> tuple[Stage, ...]:
    """Stages of `tests/finetune/stages`."""
    return tuple(
        Stage(name, (sys.executable, "-m", f"tests.finetune.stages.{name}")) for name in names
    )


def new_job(folder: Path, rows: Sequence[Conversation] = (), **parameters: object) -> JobDirectory:
    """A job whose base model is the folder `base` beside it, unless told otherwise."""
    folder.mkdir(parents=True)
    job = JobDirectory(folder)
    spec = {"model_name": "tuned", "base_model": "demo", "base_model_folder": "../base"}
    job.spec_path.write_text(FineTuneSpec.model_validate(spec | parameters).model_dump_json())
    if rows:
        write_csv(job.input_path("train", "csv"), rows)
    return job


def write_csv(path: Path, rows: Sequence[Conversation]) -> None:
    """The original's form: one column of JSON lists."""
    path.parent.mkdir(exist_ok=True)
    cells = ['"' + json.dumps(row).replace('"', '""') + '"' for row in rows]
    path.write_text("\n".join(["messages", *cells]) + "\n")


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; a test that waits too long fails."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def bytes_read() -> int:
    """All that this process and its ended children have read from files, as the kernel counts it."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])


def events(job: JobDirectory, type: str) -> list[Event]:
    """The job's events of one type."""
    return [event for event in job.events()[0] if event.type == type]


def start(module: str, *arguments: object) -> "subprocess.Popen[bytes]":
    """`python -m MODULE ...` beside the test."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
