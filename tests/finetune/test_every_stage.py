"""Every fault at every real stage: killed, cancelled, and on a full disk; then resumed, with nothing lost or left."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from finetune.job.directory import JobDirectory
from finetune.job.spec import stages_of
from finetune.job.stage import read_spec
from tests.data_folder.test_folder import require_mounting
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import ROOT, events, new_job, start, wait_for

pytestmark = [pytest.mark.soak, pytest.mark.real, pytest.mark.timeout(900)]

STAGES = ("dataset", "train", "merge", "convert", "quantize", "verify", "evaluate")
MOMENTS = (0.1, 0.5, 0.9)
"""When it happens, as shares of the time that the stage takes."""
ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c")


@dataclass(frozen=True, slots=True)
class Made:
    """A job as it lay before each stage, and the seconds that each took."""

    before: dict[str, Path]
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("stages")
    shutil.copytree(ROOT / "examples" / "demo_model", folder / "base")
    job = new_job(
        folder / "job",
        question_rows(),
        bits=16,
        rank=8,
        learning_rate=5e-3,
        batch_size=4,
        epochs=2,
        max_length=128,
        checkpoint_steps=2,
        keep_merged=True,
        quantization=["Q8_0", "Q4_K_M"],
    )
    assert set(stages_of(read_spec(job))) == set(STAGES)
    made = Made({}, {})
    for stage in stages_of(read_spec(job)):
        copy = folder / f"before_{stage}"
        copy.mkdir()
        (copy / "base").symlink_to(folder / "base")
        shutil.copytree(job.path, copy / "job")
        began = time.monotonic()
        program = start("tests.finetune.stages.until", stage, job.path)
        assert program.wait(300) == 0, job.log_path.read_text()[-3000:]
        (job.path / "outcome.json").unlink()
        made.before[stage] = copy
        made.seconds[stage] = time.monotonic() - began
    return made


def copied(made: Made, stage: str, folder: Path) -> JobDirectory:
    (folder / "base").symlink_to((made.before[stage] / "base").resolve())
    shutil.copytree(made.before[stage] / "job", folder / "job")
    return JobDirectory(folder / "job")


def in_the_middle(
    made: Made, stage: str, job: JobDirectory, moment: float
) -> "subprocess.Popen[bytes]":
    """The pipeline, once the stage has run for that share of its time."""
    program = start("tests.finetune.stages.until", stage, job.path)
    wait_for(lambda: any(event.stage == stage for event in events(job, "stage_started")))
    time.sleep(made.seconds[stage] * moment)
    return program


def require_whole(job: JobDirectory, stage: str) -> None:
    job.request_start()
    again = start("tests.finetune.stages.until", stage, job.path)
    assert again.wait(300) == 0, job.log_path.read_text()[-3000:]
    assert job.stage(stage).done() is not None
    assert [p.name for p in job.path.rglob("*") if p.name.endswith((".tmp", ".part"))] == []
    assert not job.is_locked()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", STAGES)
def test_killed(made: Made, tmp_path: Path, stage: str, moment: float) -> None:
    job = copied(made, stage, tmp_path)
    program = in_the_middle(made, stage, job, moment)
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    for pid in (program.pid, *map(int, children)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    program.wait(60)
    wait_for(lambda: not job.is_locked())
    require_whole(job, stage)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stage", STAGES)
def test_cancelled(made: Made, tmp_path: Path, stage: str, moment: float) -> None:
    job = copied(made, stage, tmp_path)
    program = in_the_middle(made, stage, job, moment)
    job.request_cancel()
    assert program.wait(120) in (0, 3), "it was over, or it was cancelled"
    outcome = job.outcome()
    assert outcome is not None
    assert outcome["result"] in ("trained", "cancelled")
    require_whole(job, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_on_a_full_disk(made: Made, tmp_path: Path, stage: str) -> None:
    require_mounting()
    program = f"{sys.executable} -m tests.finetune.stages.on_a_full_disk {stage}"
    job = made.before[stage] / "job"
    script = f"mount -t tmpfs -o size=400m none {tmp_path} && exec {program} {job} {tmp_path}"
    ended = subprocess.run([*ALONE, script], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    assert (said["again"], said["done"], said["left"]) == (0, True, []), said
    if said["full"] != 0:
        text = json.dumps(said["outcome"])
        assert "disk" in text.lower() or "space" in text.lower(), said
