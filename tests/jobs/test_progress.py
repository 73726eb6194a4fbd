"""What a job's events add up to, and how they are followed."""

from pathlib import Path

import pytest

from api.jobs.following import Happened, StatusIs, follow
from api.jobs.progress import read_progress
from finetune.job.directory import JobDirectory
from tests.jobs.workshop import Workshop


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return JobDirectory(tmp_path)


def test_a_job_without_events_has_no_progress(job: JobDirectory) -> None:
    progress = read_progress(job)
    assert progress.stage is None
    assert progress.stages == {}


def test_progress_is_the_last_figure_of_the_last_stage(job: JobDirectory) -> None:
    job.append_event("dataset", "stage_started")
    job.append_event("dataset", "warning", rows=[3, 4], detail="cut")
    job.append_event("dataset", "stage_done", seconds=0.5)
    job.append_event("train", "stage_started")
    job.append_event("train", "plan", steps=9, gradient_accumulation_steps=4)
    job.append_event("train", "progress", step=1, steps=9, loss=2.0, eta_seconds=80, unknown=1)
    job.append_event("train", "progress", step=2, steps=9, loss=1.5)
    job.append_event("train", "evaluated", eval_loss_before=3.0, eval_loss=1.0)
    progress = read_progress(job)
    assert (progress.stage, progress.step, progress.steps, progress.loss) == ("train", 2, 9, 1.5)
    assert progress.eta_seconds == 80
    assert progress.plan == {"steps": 9, "gradient_accumulation_steps": 4}
    assert progress.evaluation == {"eval_loss_before": 3.0, "eval_loss": 1.0}
    assert progress.warnings == ({"stage": "dataset", "rows": [3, 4], "detail": "cut"},)
    assert progress.stages == {"dataset": 0.5}


def test_a_new_stage_begins_without_figures(job: JobDirectory) -> None:
    job.append_event("train", "progress", step=2, steps=9, loss=1.5)
    job.append_event("merge", "stage_started")
    progress = read_progress(job)
    assert (progress.stage, progress.step, progress.loss) == ("merge", None, None)


@pytest.mark.anyio
async def test_following_tells_each_event_once_and_ends_with_the_last_status(
    tmp_path: Path,
) -> None:
    async with Workshop(tmp_path) as shop:
        job = await shop.submit()
        directory = shop.directory(job)
        news = [each async for each in follow(shop.store, directory, job)]
        rest = [each async for each in follow(shop.store, directory, job, after=3)]
    statuses = [each.job.status for each in news if isinstance(each, StatusIs)]
    events = [each for each in news if isinstance(each, Happened)]
    assert statuses[0] == "queued"
    assert statuses[-1] == "succeeded"
    assert isinstance(news[-1], StatusIs)
    assert [each.number for each in events] == list(range(1, len(events) + 1))
    assert events[-1].event.stage == "publish"
    assert [each for each in rest if isinstance(each, Happened)] == events[3:]
