"""The worker of a jobs folder: one job after the other, nothing lost when it is told to stop."""

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from finetune.job.directory import JobDirectory
from finetune.job.stage import EXIT_LOCKED
from finetune.job.workers import SILENT_SECONDS, report_worker, workers
from finetune.worker import MOST_STARTS, Worker, main, next_job
from tests.finetune.jobs import PATIENCE_SECONDS, ROOT, events, new_job, start, wait_for

TRAINED = {"result": "trained", "error": None}
PROGRAM = (sys.executable, "-m", "tests.finetune.stages.pipeline")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def waiting(folder: Path, name: str, at: float) -> JobDirectory:
    job = new_job(folder / f"job_{name}")
    job.request_start()
    os.utime(job.path / "start", (at, at))
    return job


def check(folder: Path, name: str) -> int:
    return main([str(folder), "--check", "--name", name])


def test_the_job_that_waits_longest_is_taken_first(tmp_path: Path) -> None:
    waiting(tmp_path, "b", 20)
    waiting(tmp_path, "a", 30)
    first = waiting(tmp_path, "c", 10)
    new_job(tmp_path / "job_not_asked_for")
    assert next_job(tmp_path) == first


def test_what_others_keep_in_the_folder_is_no_job(tmp_path: Path) -> None:
    for name in ("notes", "job_a.bak", "job_a (copy)", ".deleted-job_a"):
        new_job(tmp_path / name).request_start()
    assert next_job(tmp_path) is None


def test_a_finished_or_locked_job_is_left_alone(tmp_path: Path) -> None:
    finished = waiting(tmp_path, "finished", 10)
    finished.write_outcome({"result": "failed"})
    with waiting(tmp_path, "locked", 20).locked():
        assert next_job(tmp_path) is None
    assert next_job(tmp_path) == JobDirectory(tmp_path / "job_locked")


def test_jobs_run_one_after_the_other(tmp_path: Path) -> None:
    jobs = [waiting(tmp_path, name, at) for name, at in (("a", 1), ("b", 2))]
    for job in jobs:
        (job.stage("waits").path / "checkpoint").touch()
    Worker(tmp_path, PROGRAM).run(until_idle=True)
    assert [job.outcome() for job in jobs] == [TRAINED] * 2


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
    assert (job.outcome(), job.is_locked(), workers(tmp_path)) == (None, False, {})
    Worker(tmp_path, PROGRAM).run(until_idle=True)
    assert job.outcome() == TRAINED


@pytest.mark.parametrize("victim", ["worker", "pipeline"])
def test_a_job_goes_on_after_a_kill(tmp_path: Path, victim: str) -> None:
    job = waiting(tmp_path, "a", 1)
    worker = start("tests.finetune.stages.worker", tmp_path)
    wait_for(lambda: (job.path / "waiting").exists())
    (pipeline,) = psutil.Process(worker.pid).children()
    if victim == "pipeline":
        pipeline.kill()  # its stage saves and ends, and the worker starts it again
        wait_for(lambda: job.outcome() is not None)
        worker.terminate()
        assert worker.wait(PATIENCE_SECONDS) == 0
    else:
        worker.kill()  # what it ran saves and ends too
        worker.wait()
        wait_for(lambda: not job.is_locked())
        assert (job.path / "waits" / "checkpoint").exists()
        Worker(tmp_path, PROGRAM).run(until_idle=True)
    assert job.outcome() == TRAINED
    assert len(events(job, "stage_done")) == 2


def test_two_workers_never_run_one_job_at_once(tmp_path: Path) -> None:
    jobs = [new_job(tmp_path / f"job_{name}") for name in "abcd"]
    for job in jobs:
        (job.stage("waits").path / "checkpoint").touch()
    pair = [
        start("tests.finetune.stages.worker", tmp_path, "--name", name, "--poll-seconds", 0.05)
        for name in ("gpu0", "gpu1")
    ]
    wait_for(lambda: workers(tmp_path) == {"gpu0": True, "gpu1": True})
    for job in jobs:
        job.request_start()
    wait_for(lambda: all(job.outcome() for job in jobs))
    for worker in pair:
        worker.terminate()
        assert worker.wait(PATIENCE_SECONDS) == 0
    assert [job.outcome() for job in jobs] == [TRAINED] * 4
    assert [len(events(job, "stage_started")) for job in jobs] == [2] * 4


def test_a_job_that_another_worker_has_is_not_held_against_it(tmp_path: Path) -> None:
    job = waiting(tmp_path, "a", 1)
    loses = f"import sys; open('{tmp_path}/lost', 'a').write('x'); sys.exit({EXIT_LOCKED})"
    worker = Worker(tmp_path, (sys.executable, "-c", loses))
    thread = threading.Thread(target=worker.run, args=(0.01,))
    thread.start()
    lost = tmp_path / "lost"
    wait_for(lambda: lost.exists() and len(lost.read_text()) > MOST_STARTS)
    worker.stop()
    thread.join()
    assert job.outcome() is None


def test_a_job_whose_folder_goes_away_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting(tmp_path, "a", 1)
    other = waiting(tmp_path, "b", 2)
    removes = (
        "import shutil, sys; from finetune.job.directory import JobDirectory; from pathlib import Path;"
        "job = JobDirectory(Path(sys.argv[1]));"
        "job.write_outcome({'result': 'trained'}) if job.id == 'job_b' else shutil.rmtree(job.path)"
    )
    with caplog.at_level(logging.WARNING):
        Worker(tmp_path, (sys.executable, "-c", removes)).run(until_idle=True)
    assert "a: its folder is gone" in caplog.text
    assert other.outcome() == {"result": "trained"}


def test_a_job_without_a_usable_specification_fails_and_says_so(tmp_path: Path) -> None:
    jobs = [waiting(tmp_path, name, at) for at, name in enumerate(("missing", "torn"))]
    jobs[0].spec_path.unlink()
    jobs[1].spec_path.write_text('{"model_name": ')
    program = (
        "import sys; from pathlib import Path; from finetune.job import pipeline;"
        "from finetune.job.directory import JobDirectory; from tests.finetune.jobs import tiny;"
        "pipeline.run(JobDirectory(Path(sys.argv[1])), tiny('refuses'))"
    )
    Worker(tmp_path, (sys.executable, "-c", program)).run(until_idle=True)
    outcomes = [job.outcome() or {} for job in jobs]
    assert [one["error"]["title"] for one in outcomes] == ["No usable spec.json"] * 2


def test_a_worker_waits_for_its_folder_and_says_each_job_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    said = tmp_path / "said"
    with said.open("wb") as output:
        command = [sys.executable, "-m", "tests.finetune.stages.worker", str(folder)]
        worker = subprocess.Popen(
            [*command, "--name", "gpu0", "--poll-seconds", "0.05"], stdout=output
        )
    wait_for(lambda: f"{folder} is not there" in said.read_text())
    assert check(folder, "gpu0") == 1
    folder.mkdir()
    job = new_job(folder / "job_a")
    (job.stage("waits").path / "checkpoint").touch()
    job.request_start()
    wait_for(lambda: "a: trained" in said.read_text())
    assert check(folder, "gpu0") == 0
    assert check(folder, "gpu1") == 1
    worker.terminate()
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert said.read_text().count("is not there") == 1
    assert "a: taken" in said.read_text()
    assert check(folder, "gpu0") == 1


def test_a_worker_that_is_silent_is_not_alive_and_is_forgotten_by_the_next(tmp_path: Path) -> None:
    report_worker(tmp_path, "gone")
    long_ago = time.time() - SILENT_SECONDS - 1
    os.utime(tmp_path / ".workers" / "gone", (long_ago, long_ago))
    assert workers(tmp_path) == {"gone": False}
    assert check(tmp_path, "gone") == 1
    assert main([str(tmp_path), "--until-idle", "--name", "gpu0"], PROGRAM) == 0
    assert workers(tmp_path) == {}
