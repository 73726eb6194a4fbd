"""What happens while a training runs: held-out losses, early stopping, trackers, and GPU memory that runs out."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from api.jobs.exporting import begin_export
from finetune.job.directory import JobDirectory
from finetune.job.stage import StageFailed, read_spec
from finetune.stages import train as stage
from finetune.stages.dataset import dataset
from finetune.training import trackers
from finetune.training.narrower import halve, narrowed
from finetune.training.progress import StopWish
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import events, new_job

QUICK = {"bits": 16, "learning_rate": 5e-3, "batch_size": 8, "rank": 8, "max_length": 64}


def train(job: JobDirectory) -> dict[str, Any]:
    spec = read_spec(job)
    stage.train(StopWish(), job, spec, job.stage("train"))
    return json.loads(job.stage("train").done_path.read_text())  # type: ignore[no-any-return]


def prepared(folder: Path, **parameters: Any) -> JobDirectory:
    job = new_job(folder, question_rows(), **QUICK | parameters)
    dataset(job, read_spec(job), job.stage("dataset"))
    return job


@pytest.fixture(scope="module")
def run(jobs_folder: Path) -> JobDirectory:
    """A training that was judged at each of its steps, while one tracker was away and one unknown."""
    job = prepared(jobs_folder / "job_during", checkpoint_steps=1, epochs=2)

    class Away(TrainerCallback):
        def on_log(self, *places: Any, **named: Any) -> None:
            raise ConnectionError("nobody at this address")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trackers.TRACKERS, "mlflow", Away)
        patch.setenv("LLM_FASTAPI_TRACKERS", "mlflow, tensorflow")
        train(job)
    return job


@pytest.mark.real
def test_each_checkpoint_is_judged_on_held_out_rows_and_the_best_is_taken(
    run: JobDirectory,
) -> None:
    points = json.loads((run.path / "train" / "kept.json").read_text())
    losses = {point["step"]: point["eval_loss"] for point in points}
    done = run.stage("train").done()
    assert done is not None
    assert len(losses) > 3
    assert done["eval_loss"] == min(losses.values()) < done["eval_loss_before"]
    assert losses[done["checkpoint"]] == done["eval_loss"]
    told = [
        event.fields["eval_loss"]
        for event in events(run, "progress")
        if "eval_loss" in event.fields
    ]
    assert told == [round(loss, 5) for loss in losses.values()]
    assert run.progress().eval_loss == told[-1]


@pytest.mark.real
def test_another_checkpoint_is_taken_without_training_again(run: JobDirectory) -> None:
    first = json.loads((run.path / "train" / "kept.json").read_text())[0]
    spec = read_spec(run).model_copy(update={"checkpoint": first["step"]})
    run.stage("train").done_path.unlink()
    began = len(run.events()[0])
    stage.train(StopWish(), run, spec, run.stage("train"))
    done = run.stage("train").done()
    assert done is not None
    assert (done["checkpoint"], done["eval_loss"]) == (first["step"], first["eval_loss"])
    assert [event.type for event in run.events()[0][began:]] == ["evaluated"]
    adapter = (run.path / "train" / "adapter" / "adapter_model.safetensors").read_bytes()
    kept = run.path / "train" / "kept" / str(first["step"]) / "adapter_model.safetensors"
    assert adapter == kept.read_bytes()


@pytest.mark.real
def test_a_checkpoint_goes_on_in_a_job_of_its_own_that_does_not_train(run: JobDirectory) -> None:
    first = json.loads((run.path / "train" / "kept.json").read_text())[0]
    other = JobDirectory(run.path.with_name("job_exporting"))
    begin_export(run, other, first["step"], "other", None)
    began = len(other.events()[0])
    done = train(other)
    assert other.stage("dataset").done() is not None
    assert (done["checkpoint"], done["trained_by"]) == (first["step"], run.id)
    assert [event.type for event in other.events()[0][began:]] == ["evaluated"]
    kept = run.path / "train" / "kept" / str(first["step"]) / "adapter_model.safetensors"
    adapter = other.path / "train" / "adapter" / "adapter_model.safetensors"
    assert adapter.read_bytes() == kept.read_bytes()


@pytest.mark.real
def test_the_figures_go_to_tensorboard_and_a_tracker_that_fails_is_a_warning(
    run: JobDirectory,
) -> None:
    files = list((run.path / "train" / "tensorboard").glob("events.out.tfevents.*"))
    assert files
    assert b"train/loss" in files[0].read_bytes()
    assert b"eval/loss" in files[0].read_bytes()
    told = [
        event.fields["detail"]
        for event in events(run, "warning")
        if event.fields["kind"] == "tracker"
    ]
    assert told == [
        "LLM_FASTAPI_TRACKERS names 'tensorflow'; known: mlflow, wandb.",
        "mlflow takes no more figures: ConnectionError: nobody at this address",
    ]


@pytest.mark.real
def test_it_stops_early_when_held_out_rows_are_learned_no_better(jobs_folder: Path) -> None:
    job = prepared(
        jobs_folder / "job_early", checkpoint_steps=1, epochs=8, early_stopping=1, learning_rate=0.5
    )
    done = train(job)
    assert done["stopped_early"]
    assert len(json.loads((job.path / "train" / "kept.json").read_text())) < done["steps"]


@pytest.mark.real
def test_gpu_memory_that_runs_out_once_halves_the_batch_and_keeps_the_steps(
    jobs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepared(jobs_folder / "job_oom")
    learn, sizes = stage._learn, []

    def short_of_memory(trainer: Any, *others: Any) -> bool:
        sizes.append(trainer.args.per_device_train_batch_size)
        if len(sizes) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return learn(trainer, *others)

    monkeypatch.setattr(stage, "_learn", short_of_memory)
    done = train(job)
    plans = [event.fields for event in events(job, "plan")]
    assert sizes == [8, 4]
    assert plans[0]["steps"] == plans[1]["steps"]
    assert (done["batch_size"], done["gradient_accumulation_steps"]) == (4, 2)
    assert [event.fields["kind"] for event in events(job, "warning")] == ["out_of_memory"]


def test_gpu_memory_that_runs_out_again_is_said_with_what_to_do(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job", batch_size=8)
    (job.path / "train").mkdir()
    with pytest.raises(StageFailed, match="before the first step"):
        halve(job, job.path / "train", read_spec(job), "CUDA out of memory.")
    job.append_event("train", "plan", gradient_accumulation_steps=1)
    spec = halve(job, job.path / "train", read_spec(job), "CUDA out of memory.")
    assert (spec.batch_size, spec.gradient_accumulation_steps) == (4, 2)
    assert narrowed(job.path / "train", read_spec(job)) == spec
    with pytest.raises(StageFailed, match=r"batch_size=4.*max_length"):
        halve(job, job.path / "train", spec, "CUDA out of memory.")


def test_one_row_cannot_be_halved(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job")
    (job.path / "train").mkdir()
    with pytest.raises(StageFailed, match=r"batch_size=1.*bits=4"):
        halve(job, job.path / "train", read_spec(job), "CUDA out of memory.")


def test_a_checkpoint_that_a_full_disk_has_torn_goes_with_the_failure(
    jobs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepared(jobs_folder / "job_torn")
    torn = job.stage("train").path / "checkpoints" / "checkpoint-4"
    torn.mkdir(parents=True)
    (torn / "optimizer.pt").write_text("half of it")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "look_ahead", lambda *_: None)
    monkeypatch.setattr(stage, "_learned", full)
    with pytest.raises(OSError, match="No space left"):
        train(job)
    assert not torn.exists()
