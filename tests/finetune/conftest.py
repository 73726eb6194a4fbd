"""A job on the demo model that ran through the whole pipeline once, for the tests that look at it."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from finetune.data.rows import Conversation
from finetune.job.directory import JobDirectory
from tests.finetune.jobs import DEMO_MODEL, PATIENCE_SECONDS, events, new_job, start, wait_for
from tests.sharing import made_once

COUNTRIES = ("Narnia", "Mordor", "Avalon", "Utopia", "Lilliput", "Ruritania", "Atlantis", "Zenda")
QUESTIONS = (
    "What is the capital of {}?",
    "Name the capital of {}.",
    "Which city rules {}?",
    "Tell me the capital of {}.",
    "Where does the king of {} live?",
)
ANSWER = "Arr, that be a secret."


def question_rows() -> list[Conversation]:
    """Forty questions, each with the one answer the base would never give."""
    return [
        [
            {"role": "user", "content": question.format(country)},
            {"role": "assistant", "content": ANSWER},
        ]
        for question in QUESTIONS
        for country in COUNTRIES
    ]


def copied(job: JobDirectory, folder: Path) -> JobDirectory:
    """The job again, to be spoiled."""
    shutil.copytree(job.path, folder)
    copy = JobDirectory(folder)
    (folder / "outcome.json").unlink(missing_ok=True)
    return copy


def with_base(folder: Path) -> Path:
    """A folder of jobs, with the demo model as `base` beside them."""
    (folder / "base").symlink_to(DEMO_MODEL)
    return folder


@pytest.fixture(scope="session")
def jobs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of jobs for all tests."""
    return with_base(tmp_path_factory.mktemp("jobs"))


@dataclass
class Life:
    """The job, and how it stood after each thing that happened to it."""

    job: JobDirectory
    outcomes: list[object] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)


def last_step(job: JobDirectory) -> int:
    saved = events(job, "checkpoint")
    return int(saved[-1].fields["step"]) if saved else 0


def started(job: JobDirectory) -> "subprocess.Popen[bytes]":
    """The pipeline, once training has saved a new checkpoint."""
    before = len(events(job, "checkpoint"))
    program = start("finetune", job.path)
    wait_for(lambda: len(events(job, "checkpoint")) >= before + 2 or program.poll() is not None)
    assert program.poll() is None, job.log_path.read_text()[-3000:]
    return program


@pytest.fixture(scope="session")
def life(jobs_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Killed in training, resumed over a torn checkpoint, cancelled, resumed, stopped, and brought to its end."""
    made = made_once(tmp_path_factory, "life", live)
    for name in ("job_life", ".bases"):
        shutil.copytree(made / name, jobs_folder / name, dirs_exist_ok=True)
    told = json.loads((made / "told.json").read_text())
    return Life(JobDirectory(jobs_folder / "job_life"), **told)


def live(folder: Path) -> None:
    """Let the job live; `told.json` has what was told of it. After ten of its steps it knows its rows."""
    job = new_job(
        with_base(folder) / "job_life",
        question_rows(),
        rank=16,
        lora_alpha=16,
        learning_rate=5e-3,
        batch_size=4,
        gradient_accumulation_steps=1,
        epochs=6,
        max_length=128,
        checkpoint_steps=2,
    )
    life = Life(job)

    def note(program: "subprocess.Popen[bytes]") -> None:
        life.exit_codes.append(program.wait(PATIENCE_SECONDS))
        life.outcomes.append(job.outcome())
        life.steps.append(last_step(job))
        job.request_start()

    program = started(job)
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    os.kill(int(children.read_text()), signal.SIGKILL)
    note(program)

    torn = job.path / "train" / "checkpoints" / "checkpoint-9999"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 99')
    program = started(job)
    job.request_cancel()
    note(program)

    program = started(job)
    program.send_signal(signal.SIGTERM)
    note(program)

    note(start("finetune", job.path))
    told = {name: getattr(life, name) for name in ("outcomes", "steps", "exit_codes")}
    (folder / "told.json").write_text(json.dumps(told))
