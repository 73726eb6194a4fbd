"""What is told of a job besides its row: events read backwards, its checkpoints, and what can be reckoned."""

import json
from pathlib import Path

import pytest

from api.jobs.history import kept_checkpoints, newest_events
from api.jobs.outlook import seconds_left, trained_tokens
from finetune.job.directory import JobDirectory
from finetune.job.events import BLOCK_BYTES
from finetune.preflight.record import write_part


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return JobDirectory(tmp_path)


def test_events_are_read_backwards_over_the_blocks_of_their_log(job: JobDirectory) -> None:
    for step in range(700):
        job.append_event("train", "progress", step=step, steps=700, loss=0.5, note="x" * 60)
    path = job.path / "events.jsonl"
    assert path.stat().st_size > 2 * BLOCK_BYTES
    with path.open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00+00:00", "stage"')  # a line that is not whole yet
    numbers, before, has_more = list[int](), None, True
    while has_more:
        events, has_more = newest_events(job, before, 90)
        numbers += [event.number for event in events]
        before = numbers[-1]
    assert numbers == list(range(700, 0, -1))
    assert newest_events(job, 1, 90) == ([], False)
    assert newest_events(JobDirectory(job.path / "none"), None, 90) == ([], False)


def test_checkpoints_have_the_losses_of_their_steps(job: JobDirectory) -> None:
    for step in (1, 2, 3):
        job.append_event("train", "progress", step=step, loss=1 / step)
        if step > 1:
            job.append_event("train", "checkpoint", step=step)
    train = job.stage("train")
    losses = {2: 0.9, 3: None}
    points = [{"step": step, "eval_loss": loss} for step, loss in losses.items()]
    (train.path / "kept.json").write_text(json.dumps(points))
    for step in losses:
        (train.path / "kept" / str(step)).mkdir(parents=True)
    train.mark_done([], checkpoint=2)
    told = [
        (one.step, one.train_loss, one.eval_loss, one.exported) for one in kept_checkpoints(job)
    ]
    assert told == [(3, 1 / 3, None, False), (2, 1 / 2, 0.9, True)]
    assert all(one.at for one in kept_checkpoints(job))


def test_what_is_left_is_predicted_until_training_tells_it_itself(job: JobDirectory) -> None:
    assert seconds_left(job, job.progress()) is None
    seconds = {"dataset": 5.0, "train": 100.0, "convert": 20.0}
    write_part(job, "predicted", {"seconds": seconds})
    assert seconds_left(job, job.progress()) == 125
    job.append_event("dataset", "stage_done", seconds=7)
    job.append_event("train", "stage_started")
    assert seconds_left(job, job.progress()) == 120
    job.append_event("train", "progress", step=1, eta_seconds=30.0)
    assert seconds_left(job, job.progress()) == 50
    write_part(job, "counted", {"seconds": {**seconds, "convert": 10.0}})
    assert seconds_left(job, job.progress()) == 40


def test_tokens_are_those_of_the_rows_for_as_long_as_it_trained(job: JobDirectory) -> None:
    job.stage("dataset").mark_done([], tokens=1000)
    assert trained_tokens(job, 3) is None
    train = job.stage("train")
    (train.path / "kept.json").write_text(json.dumps([{"step": 15, "eval_loss": 1.0}]))
    train.mark_done([], steps=30, stopped_early=False)
    assert trained_tokens(job, 3) == 3000
    train.mark_done([], steps=30, stopped_early=True)
    assert trained_tokens(job, 3) == 1500
