"""The worker of a jobs folder: one job after the other, nothing lost when it is told to stop."""

import os
import sys
from pathlib import Path

import pytest

from finetune.worker import Worker, next_job
from finetune.workspace import JobDirectory
from tests.finetune.jobs import PATIENCE_SECONDS, ROOT, new_job, start, wait_for

PROGRAM = (sys.executable, "-m", "tests.finetune.stages.pipeline")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def waiting(folder: Path, name: str, at: float) -> JobDirectory:
    job = new_job(folder / name)
    job.request_start()
    os.utime(job.path / "start", (at, at))
    return job


def test_the_job_that_waits_longest_is_taken_first(tmp_path: Path) -> None:
    waiting(tmp_path, "b", 20)
    waiting(tmp_path, "a", 30)
    first = waiting(tmp_path, "c", 10)
    new_job(tmp_path / "not_asked_for")
    assert next_job(tmp_path) == first


def test_a_finished_or_locked_job_is_left_alone(tmp_path: Path) -> None:
    finished = waiting(tmp_path, "finished", 10)
    finished.write_outcome({"result": "failed"})
    with waiting(tmp_path, "locked", 20).locked():
        assert next_job(tmp_path) is None
    assert next_job(tmp_path) == JobDirectory(tmp_path / "locked")


def test_jobs_run_one_after_the_other(tmp_path: Path) -> None:
    jobs = [waiting(tmp_path, name, at) for name, at in (("a", 1), ("b", 2))]
    for job in jobs:
        (job.stage("waits").path / "checkpoint").touch()
    Worker(tmp_path, PROGRAM).run(until_idle=True)
    assert [job.outcome() for job in jobs] == [{"result": "trained", "error": None}] * 2


def test_a_job_whose_process_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    job = waiting(tmp_path, "a", 1)
    Worker(tmp_path, (sys.executable, "-c", "import os; os.abort()")).run(until_idle=True)
    outcome = job.outcome()
    assert outcome is not None
    assert (outcome["result"], "3 times" in outcome["error"]["detail"]) == ("failed", True)


def test_sigterm_drains_the_worker_and_the_job_can_go_on(tmp_path: Path) -> None:
    job = waiting(tmp_path, "a", 1)
    worker = start("tests.finetune.stages.worker", tmp_path)
    wait_for(lambda: (job.path / "waiting").exists())
    worker.terminate()
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert (job.outcome(), job.is_locked()) == (None, False)
    Worker(tmp_path, PROGRAM).run(until_idle=True)
    assert job.outcome() == {"result": "trained", "error": None}
