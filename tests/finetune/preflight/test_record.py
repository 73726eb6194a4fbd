"""What was predicted stays beside what was real, and the next prediction knows of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from finetune.job.directory import JobDirectory
from finetune.preflight import history
from finetune.preflight.forecast import Forecast
from finetune.preflight.record import conclude, read_parts, shown, write_forecast
from tests.finetune.jobs import new_job
from tests.finetune.preflight.cases import AMOUNT, CPU, SEVEN_B, spec


def forecast() -> Forecast:
    """Of a run with these rows."""
    return Forecast(SEVEN_B, spec(), AMOUNT, CPU)


def ran(folder: Path, times: int = 1) -> JobDirectory:
    """A job that was predicted, and whose training has ended, begun so many times."""
    job = new_job(folder / "job_1")
    write_forecast(job, "predicted", forecast(), guessed_tokens=200_000)
    write_forecast(job, "counted", forecast())
    for _ in range(times):
        job.append_event("train", "stage_started")
    for step in (1, 2, 4):
        job.append_event("train", "progress", step=step, steps=4, loss=1.0)
    job.append_event("train", "used", ram_bytes=10**10, cpu_seconds=90.0)
    job.append_event("train", "stage_done", seconds=100.0, disk_bytes=10**9)
    return job


def test_the_figures_of_a_job_stand_beside_each_prediction(tmp_path: Path) -> None:
    job = ran(tmp_path)
    conclude(job)
    real = (read_parts(job) or {})["real"]
    assert real["figures"]["seconds.train"] == 100
    assert real["figures"]["ram.train"] == 10**10
    assert real["figures"]["disk"] == 10**9
    said = forecast().needs.seconds["train"]
    for name in ("predicted", "counted"):
        assert real["predicted_by_real"][name]["seconds.train"] == pytest.approx(
            said / 100, rel=0.01
        )


def test_a_job_that_has_ended_corrects_the_next_prediction(tmp_path: Path) -> None:
    job = ran(tmp_path)
    conclude(job)
    conclude(job)  # as after a resumed job has ended again
    [record] = history.read(tmp_path)
    assert record.real["seconds.train"] == 100
    assert record.formula["tokens"] == 200_000
    assert record.real["tokens"] == AMOUNT.tokens
    following = Forecast(SEVEN_B, spec(), AMOUNT, CPU, [record])
    assert following.needs.ram["train"] != following.by_formula.ram["train"]
    elsewhere = Forecast(SEVEN_B, spec(), AMOUNT, replace(CPU, threads=2), [record])
    assert elsewhere.needs == elsewhere.by_formula


def test_the_time_of_a_stage_that_was_broken_off_counts_for_nothing(tmp_path: Path) -> None:
    job = ran(tmp_path, times=2)
    conclude(job)
    [record] = history.read(tmp_path)
    assert "seconds.train" not in record.real
    assert "ram.train" in record.real


def test_a_job_that_nobody_predicted_is_left_as_it_is(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job_1")
    conclude(job)
    assert read_parts(job) is None
    assert shown(None) is None
    assert history.read(tmp_path) == []
