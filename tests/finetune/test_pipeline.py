"""Stages in order, and what becomes of a job when one of them, or the pipeline, ends badly."""

import os
import signal
from pathlib import Path

import pytest

from finetune.job.directory import JobDirectory, JobLocked
from finetune.job.pipeline import Pipeline
from finetune.job.stage import failure
from tests.finetune.jobs import (
    PATIENCE_SECONDS,
    bytes_read,
    events,
    new_job,
    start,
    tiny,
    wait_for,
)
from tests.finetune.stages.makes_a_large_file import LARGE_BYTES

PROGRAM = "tests.finetune.stages.pipeline"


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return new_job(tmp_path / "job_1")


def runs(job: JobDirectory) -> int:
    return len((job.path / "runs.txt").read_text().splitlines())


def waiting_stage(job: JobDirectory) -> int:
    """The process id of the stage that waits, once it does."""
    pid = job.path / "waiting"
    wait_for(lambda: pid.exists() and pid.read_text() != "")
    return int(pid.read_text())


def test_stages_run_in_order_and_what_is_done_is_skipped(job: JobDirectory) -> None:
    assert Pipeline(job, tiny("works")).run() is not None
    assert job.outcome() == {"result": "trained", "error": None}
    job.request_start()
    Pipeline(job, tiny("works")).run()
    assert runs(job) == 1
    assert [event.type for event in job.events()[0]] == ["stage_started", "stage_done"]


def test_a_trained_job_is_not_run_again(job: JobDirectory) -> None:
    job.write_outcome({"result": "trained", "error": None})
    outcome = Pipeline(job, tiny("refuses")).run()
    assert outcome is not None
    assert outcome.result == "trained"


@pytest.mark.parametrize(
    ("stage", "title", "says"),
    [
        ("refuses", "Row 3 is no good", "Mend row 3."),
        ("breaks", "Unexpected error", "seven by zero"),
        ("kills_itself", "The stage was killed", "memory"),
        ("kills_itself", "The stage was killed", "about to take all memory"),
        ("aborts", "The stage crashed", "SIGABRT"),
        ("forgets", "The stage left nothing", "done.json"),
        ("does_not_exist", "The stage failed", "does_not_exist"),
    ],
)
def test_a_failed_stage_ends_the_job_with_its_reason(
    job: JobDirectory, stage: str, title: str, says: str
) -> None:
    outcome = Pipeline(job, tiny(stage, "works")).run()
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.result, outcome.error.title, outcome.error.stage) == ("failed", title, stage)
    assert says in outcome.error.detail
    assert job.outcome() == outcome.model_dump()
    failed = events(job, "failed")
    assert [event.fields["title"] for event in failed] in ([title], [])
    assert not (job.path / "runs.txt").exists()


def test_what_a_stage_has_made_is_hashed_once_and_again_when_it_was_written_since(
    job: JobDirectory,
) -> None:
    stages = tiny("makes_a_large_file")
    before = bytes_read()
    Pipeline(job, stages).run()
    assert bytes_read() - before < 1.5 * LARGE_BYTES
    (large,) = (path for path in (job.path / stages[0].name).iterdir() if path.suffix != ".json")
    for is_touched in (False, True):
        job.request_start()
        if is_touched:
            large.touch()
        before = bytes_read()
        Pipeline(job, stages).run()
        least = LARGE_BYTES * is_touched
        assert least <= bytes_read() - before < least + 0.5 * LARGE_BYTES


@pytest.mark.parametrize("damage", ["cut", "empty", "other bytes", "file gone"])
def test_a_stage_whose_marker_or_file_is_damaged_runs_again(job: JobDirectory, damage: str) -> None:
    Pipeline(job, tiny("works")).run()
    marker, result = job.path / "works" / "done.json", job.path / "works" / "result.txt"
    match damage:
        case "cut":
            marker.write_text(marker.read_text()[:40])
        case "empty":
            marker.write_text("")
        case "other bytes":
            result.write_text("fake")
        case "file gone":
            result.unlink()
    job.request_start()
    outcome = Pipeline(job, tiny("works")).run()
    assert outcome is not None
    assert (outcome.result, runs(job)) == ("trained", 2)
    assert result.read_text() == "made"


def test_a_job_cancelled_before_it_starts_runs_nothing(job: JobDirectory) -> None:
    job.request_cancel()
    outcome = Pipeline(job, tiny("works")).run()
    assert outcome is not None
    assert outcome.result == "cancelled"
    assert not (job.path / "runs.txt").exists()


def test_cancelling_ends_the_running_stage_at_its_safe_point(job: JobDirectory) -> None:
    program = start(PROGRAM, job.path)
    waiting_stage(job)
    job.request_cancel()
    assert program.wait(PATIENCE_SECONDS) == 0
    assert job.outcome() == {"result": "cancelled", "error": None}
    assert (job.path / "waits" / "checkpoint").exists()
    assert not job.is_locked()


def test_sigterm_saves_and_leaves_the_job_to_be_gone_on_with(job: JobDirectory) -> None:
    program = start(PROGRAM, job.path)
    waiting_stage(job)
    program.send_signal(signal.SIGTERM)
    assert program.wait(PATIENCE_SECONDS) == 4
    assert job.outcome() is None
    assert start(PROGRAM, job.path).wait(PATIENCE_SECONDS) == 0
    assert job.outcome() == {"result": "trained", "error": None}
    assert runs(job) == 1


def test_a_stage_ends_when_its_pipeline_is_killed(job: JobDirectory) -> None:
    program = start(PROGRAM, job.path)
    waiting_stage(job)
    program.kill()
    program.wait(PATIENCE_SECONDS)
    wait_for(lambda: not job.is_locked())
    assert (job.path / "waits" / "checkpoint").exists()
    assert job.outcome() is None
    assert start(PROGRAM, job.path).wait(PATIENCE_SECONDS) == 0
    assert job.outcome() == {"result": "trained", "error": None}


def test_a_killed_stage_is_said_and_resumed(job: JobDirectory) -> None:
    program = start(PROGRAM, job.path)
    os.kill(waiting_stage(job), signal.SIGKILL)
    program.wait(PATIENCE_SECONDS)
    outcome = job.outcome()
    assert outcome is not None
    assert outcome["error"]["stage"] == "waits"
    (job.path / "waits" / "checkpoint").touch()
    job.request_start()
    assert start(PROGRAM, job.path).wait(PATIENCE_SECONDS) == 0
    assert job.outcome() == {"result": "trained", "error": None}


def test_nobody_runs_beside_a_stage_that_outlived_its_pipeline(job: JobDirectory) -> None:
    program = start(PROGRAM, job.path)
    orphan = waiting_stage(job)
    os.kill(orphan, signal.SIGSTOP)
    program.kill()
    program.wait(PATIENCE_SECONDS)
    assert job.is_locked()
    with pytest.raises(JobLocked):
        Pipeline(job, tiny("works")).run()
    os.kill(orphan, signal.SIGKILL)
    wait_for(lambda: not job.is_locked())


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        RuntimeError("basic_ios::clear: iostream error"),
    ],
)
def test_a_full_disk_is_called_so_whoever_met_it(error: Exception) -> None:
    assert failure(error)["title"] == "No space left"
