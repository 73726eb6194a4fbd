"""Another checkpoint means that the training is over, and all that comes after it is made anew."""

from pathlib import Path

from api.jobs.choosing import checkpoints, choose
from finetune.job.kept import Kept
from finetune.job.spec import stages_of
from finetune.job.stage import read_spec
from tests.finetune.jobs import new_job


def test_another_choice_undoes_what_came_after_the_training_and_nothing_else(
    tmp_path: Path,
) -> None:
    job = new_job(tmp_path / "job", [[]])
    stages = stages_of(read_spec(job))
    for stage in stages:
        job.stage(stage).mark_done([])
    (job.path / "train" / "learned.json").write_text("{}")
    Kept(job.path / "train").add(2, None, job.inputs)
    assert choose(job, "last", None)["checkpoint"] == "last"
    assert read_spec(job).checkpoint == "last"
    done = [stage for stage in stages if job.stage(stage).done() is not None]
    assert done == list(stages[: stages.index("train")])
    assert (job.path / "train" / "learned.json").exists()


def test_a_job_that_has_kept_nothing_shows_none(tmp_path: Path) -> None:
    assert checkpoints(new_job(tmp_path / "job")) == []
