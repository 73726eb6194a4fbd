"""What a job's events add up to: each is read once, however many there are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finetune.job.directory import JobDirectory
from finetune.job.events import BLOCK_BYTES, START, Place
from finetune.job.progress import JobProgress
from tests.finetune.jobs import bytes_read

MANY = 100_000
FEW_BYTES = 4 * BLOCK_BYTES
"""Two blocks of events, and their fold."""


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return JobDirectory(tmp_path)


@pytest.fixture(scope="module")
def long_job(tmp_path_factory: pytest.TempPathFactory) -> JobDirectory:
    """A day of training, written before anything was folded."""
    job = JobDirectory(tmp_path_factory.mktemp("job"))
    with (job.path / "events.jsonl").open("w") as log:
        for step in range(1, MANY + 1):
            event = {"at": "now", "stage": "train", "type": "progress", "step": step, "loss": 0.5}
            log.write(json.dumps(event) + "\n")
    return job


@contextmanager
def reads_little() -> Iterator[None]:
    before = bytes_read()
    yield
    assert bytes_read() - before < FEW_BYTES


def test_a_job_without_events_has_no_progress(job: JobDirectory) -> None:
    assert job.progress() == JobProgress()
    assert (job.events(), job.last_place()) == (([], START), START)


def test_progress_is_the_last_figure_of_the_last_stage(job: JobDirectory) -> None:
    job.append_event("dataset", "stage_started")
    job.append_event("dataset", "warning", rows=[3, 4], detail="cut")
    job.append_event("dataset", "stage_done", seconds=0.5)
    job.append_event("train", "stage_started")
    job.append_event("train", "plan", steps=9, gradient_accumulation_steps=4)
    job.append_event("train", "progress", step=1, steps=9, loss=2.0, eta_seconds=80, unknown=1)
    job.append_event("train", "progress", step=2, steps=9, loss=1.5)
    job.append_event("train", "evaluated", eval_loss_before=3.0, eval_loss=1.0)
    progress = job.progress()
    assert (progress.stage, progress.step, progress.steps, progress.loss) == ("train", 2, 9, 1.5)
    assert progress.eta_seconds == 80
    assert progress.plan == {"steps": 9, "gradient_accumulation_steps": 4}
    assert progress.evaluation == {"eval_loss_before": 3.0, "eval_loss": 1.0}
    assert progress.warnings == ({"stage": "dataset", "rows": [3, 4], "detail": "cut"},)
    assert progress.stages == {"dataset": 0.5}


def test_a_new_stage_begins_without_figures(job: JobDirectory) -> None:
    job.append_event("train", "progress", step=2, steps=9, loss=1.5)
    job.append_event("merge", "stage_started")
    progress = job.progress()
    assert (progress.stage, progress.step, progress.loss) == ("merge", None, None)


def test_a_hundred_thousand_events_are_read_once(long_job: JobDirectory) -> None:
    assert long_job.progress().step == MANY
    with reads_little():
        assert long_job.progress().step == MANY


def test_events_are_followed_from_near_the_last_one_known(long_job: JobDirectory) -> None:
    long_job.progress()
    with reads_little():
        events, _ = long_job.some_events(long_job.place_before(MANY - 500))
    numbers = [event.number for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert MANY - 500 in numbers
    assert [event.fields["step"] for event in events] == numbers


def test_whoever_adds_events_leaves_little_for_the_first_who_asks(job: JobDirectory) -> None:
    job.append_event("dataset", "warning", detail="cut")
    while (job.path / "events.jsonl").stat().st_size < 8 * FEW_BYTES:
        job.append_event("train", "progress", step=7, text="x" * 1000)
    with reads_little():
        progress = job.progress()
    assert (progress.step, len(progress.warnings)) == (7, 1)


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{", "[]", '{"version": 0}', '{"version": 1}'),
        '{"version": 1, "blocks": []}',
        '{"version": 1, "blocks": [{}], "place": {"offset": 9000000000}}',
        '{"version": 1, "blocks": [{}], "place": {"offset": 0, "lines": 0}, "progress": {"at": 1}}',
    ],
)
def test_a_damaged_fold_is_made_again(job: JobDirectory, damage: str) -> None:
    for step in range(200):
        job.append_event("train", "progress", step=step, text="x" * 1000)
    (job.path / "progress.json").write_text(damage)
    assert job.progress().step == 199
    with reads_little():
        job.progress()


def test_a_torn_line_has_a_number_and_is_passed_over(job: JobDirectory) -> None:
    job.append_event("train", "progress", step=1)
    with (job.path / "events.jsonl").open("a") as log:
        log.write('{"at": "now", "stage"\n[]\n')
    job.append_event("train", "progress", step=2)
    with (job.path / "events.jsonl").open("a") as log:
        log.write('{"at": "now"')
    events, place = job.events()
    assert [(event.number, event.fields["step"]) for event in events] == [(1, 1), (4, 2)]
    assert job.progress().step == 2
    assert job.events(place) == ([], place)
    assert place.lines == 4


def test_a_line_longer_than_a_block_is_read_whole(job: JobDirectory) -> None:
    job.append_event("train", "warning", text="x" * 2 * BLOCK_BYTES)
    job.append_event("train", "progress", step=1)
    assert job.progress().step == 1
    (first,), place = job.some_events(START)
    assert len(first.fields["text"]) == 2 * BLOCK_BYTES
    assert place == Place(place.offset, 1)
