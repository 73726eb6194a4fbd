"""One contract, held by each `JobRunner`: here by child processes and by a worker that watches the folder."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from api.child_process import environment
from api.errors import BackEndFailed
from api.runners import JobRunner
from api.runners.local import LocalRunner
from api.runners.worker import WorkerRunner
from finetune.job.device import find_gpu
from finetune.job.directory import JobDirectory
from finetune.job.workers import report_worker, workers
from tests.finetune.jobs import new_job
from tests.jobs.workshop import command

Opener = Callable[[Path, str], contextlib.AbstractContextManager[JobRunner]]


@contextlib.contextmanager
def local(folder: Path, program: str) -> Iterator[JobRunner]:
    """Child processes of this one."""
    del folder
    runner = LocalRunner(command(program))
    try:
        yield runner
    finally:
        runner.close()


@contextlib.contextmanager
def worker(folder: Path, program: str) -> Iterator[JobRunner]:
    """A worker process, as in the GPU container."""
    process = subprocess.Popen([*command("works_through_a_folder"), str(folder), program])
    try:
        until(lambda: any(workers(folder).values()))
        yield WorkerRunner(folder)
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture(params=[local, worker])
def opened(request: pytest.FixtureRequest) -> Opener:
    """How to open the runner under test."""
    opener: Opener = request.param
    return opener


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    """A job that nobody has started."""
    return new_job(tmp_path / "job_1")


def until(is_so: Callable[[], object], seconds: float = 60) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_started_job_runs_to_its_outcome(job: JobDirectory, opened: Opener) -> None:
    with opened(job.path.parent, "trains_quickly") as runner:
        assert not runner.is_running(job)
        runner.start(job)
        assert runner.is_running(job)
        until(lambda: not runner.is_running(job))
    assert job.outcome() == {"result": "trained"}


def test_a_runner_knows_what_a_job_trains_on(job: JobDirectory, opened: Opener) -> None:
    with opened(job.path.parent, "trains_quickly") as runner:
        device = "gpu" if find_gpu() else "cpu"
        until(lambda: runner.device(job) == device)


def test_starting_twice_runs_once(job: JobDirectory, opened: Opener) -> None:
    with opened(job.path.parent, "trains_until_told") as runner:
        runner.start(job)
        runner.start(job)
        until(job.is_locked)
        runner.start(job)
        (job.path / "enough").touch()
        until(lambda: not runner.is_running(job))
    events, _ = job.events()
    assert [event.type for event in events] == ["stage_started"]


def test_a_running_job_can_be_cancelled(job: JobDirectory, opened: Opener) -> None:
    with opened(job.path.parent, "trains_until_told") as runner:
        runner.start(job)
        until(job.is_locked)
        runner.cancel(job)
        until(lambda: not runner.is_running(job))
    assert job.outcome() == {"result": "cancelled"}


def test_a_job_that_has_ended_can_be_started_again(job: JobDirectory, opened: Opener) -> None:
    with opened(job.path.parent, "trains_until_told") as runner:
        runner.start(job)
        runner.cancel(job)
        until(lambda: not runner.is_running(job))
        runner.start(job)
        until(job.is_locked)
        assert job.outcome() is None
        assert not job.is_cancel_requested()
        (job.path / "enough").touch()
        until(lambda: not runner.is_running(job))
    assert job.outcome() is not None


def test_a_job_whose_process_ends_without_a_word_is_not_running(job: JobDirectory) -> None:
    with local(job.path.parent, "dies_at_once") as runner:
        runner.start(job)
        until(lambda: not runner.is_running(job))
    assert job.outcome() is None
    assert "the last words" in job.log_path.read_text()


def test_another_runner_sees_a_job_that_it_did_not_start(job: JobDirectory) -> None:
    with local(job.path.parent, "trains_until_told") as killed:
        killed.start(job)
        until(job.is_locked)
        successor = LocalRunner(command("dies_at_once"))
        successor.start(job)
        assert successor.is_running(job)
        (job.path / "enough").touch()
        until(lambda: not successor.is_running(job))
    assert job.outcome() is not None


def test_closing_stops_the_job_without_an_outcome_so_that_it_resumes(job: JobDirectory) -> None:
    with local(job.path.parent, "trains_until_told") as runner:
        runner.start(job)
        until(job.is_locked)
    assert not job.is_locked()
    assert job.outcome() is None


def test_closing_stops_a_job_that_an_earlier_runner_has_started(job: JobDirectory) -> None:
    with local(job.path.parent, "trains_until_told") as killed:
        killed.start(job)
        until(job.is_locked)
        successor = LocalRunner(command("dies_at_once"))
        assert successor.is_running(job)
        successor.close()
        assert not job.is_locked()
    assert job.outcome() is None


def test_closing_leaves_a_job_that_somebody_else_runs(job: JobDirectory) -> None:
    program = [*command("trains_until_told"), str(job.path)]
    with local(job.path.parent, "dies_at_once") as runner:
        runner.start(job)
        until(lambda: not runner.is_running(job))
        process = subprocess.Popen(program)
        until(job.is_locked)
        assert runner.is_running(job)
    assert job.is_locked()
    process.kill()
    process.wait()


def test_no_ended_child_stays_a_zombie(job: JobDirectory) -> None:
    with local(job.path.parent, "trains_quickly") as runner:
        runner.start(job)
        until(lambda: not runner.is_running(job))
        states = [child.status() for child in psutil.Process().children()]
    assert psutil.STATUS_ZOMBIE not in states


def test_a_pipeline_gets_no_secret(job: JobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_FASTAPI_API_KEY", "planted")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with local(job.path.parent, "trains_until_told") as runner:
        runner.start(job)
        until(lambda: (job.path / "environment").exists() and job.is_locked())
        names = set((job.path / "environment").read_text().split())
    assert {"PATH", "OMP_NUM_THREADS", "HF_HUB_OFFLINE"} <= names
    assert not {"LLM_FASTAPI_API_KEY", "AWS_SECRET_ACCESS_KEY"} & names
    assert "planted" not in environment().values()


def test_a_pipeline_gets_no_token_of_the_hub(
    job: JobDirectory, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "planted")
    with opened(job.path.parent, "trains_until_told") as runner:
        runner.start(job)
        until(lambda: (job.path / "environment").exists() and job.is_locked())
    assert "HF_TOKEN" not in (job.path / "environment").read_text().split()


def test_a_runner_that_can_run_jobs_has_no_hint(job: JobDirectory, opened: Opener) -> None:
    with opened(job.path.parent, "trains_quickly") as runner:
        assert runner.check() == ()


def test_a_program_that_is_not_there_is_an_error_of_ours(job: JobDirectory) -> None:
    with pytest.raises(BackEndFailed):
        LocalRunner((f"{sys.executable}-missing",)).start(job)


def test_a_job_that_no_worker_has_taken_is_withdrawn(job: JobDirectory) -> None:
    runner = WorkerRunner(job.path.parent)
    runner.start(job)
    assert runner.is_running(job)
    runner.cancel(job)
    assert not runner.is_running(job)
    assert not job.is_start_requested()


def test_a_job_that_no_worker_watches_says_so(job: JobDirectory) -> None:
    runner = WorkerRunner(job.path.parent)
    runner.start(job)
    (warning,) = job.progress().warnings
    assert "No worker" in warning["detail"]
    (hint,) = runner.check()
    assert "No worker" in hint


def test_a_job_trains_on_the_gpu_when_a_worker_that_lives_has_one(job: JobDirectory) -> None:
    runner = WorkerRunner(job.path.parent)
    assert runner.device(job) is None
    report_worker(job.path.parent, "slow")
    assert runner.device(job) == "cpu"
    report_worker(job.path.parent, "gpu0", "gpu")
    assert runner.device(job) == "gpu"


def test_a_job_that_a_worker_watches_says_nothing_of_it(job: JobDirectory) -> None:
    report_worker(job.path.parent, "gpu0")
    WorkerRunner(job.path.parent).start(job)
    assert job.progress().warnings == ()
