"""Which checkpoints are kept, which of them is exported, and when it is time to stop."""

import shutil
from pathlib import Path

import pytest

from finetune.job.kept import Kept, Point, best, has_stalled
from finetune.job.stage import StageFailed
from finetune.stages import train as stage
from finetune.training.checkpoints import Checkpoint


def checkpoint(folder: Path, step: int, *names: str) -> Path:
    path = folder / "checkpoints" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in names or ("adapter_config.json", "adapter_model.safetensors", "optimizer.pt"):
        (path / name).write_text(f"{name} of {step}")
    return path


def kept(folder: Path, *losses: float | None) -> Kept:
    found = Kept(folder)
    for step, loss in enumerate(losses, 1):
        found.add(step, loss, checkpoint(folder, step))
    return found


def test_the_weights_of_every_checkpoint_stay_and_nothing_else_of_them(tmp_path: Path) -> None:
    found = kept(tmp_path, 2.0, 1.0)
    assert found.points() == [Point(1, 2.0), Point(2, 1.0)]
    assert {path.name for path in (tmp_path / "kept" / "1").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


@pytest.mark.parametrize(
    ("losses", "choice", "step"),
    [
        ((3.0, 1.0, 2.0), "best", 2),
        ((1.0, 1.0), "best", 1),
        ((None, None), "best", 2),
        ((3.0, 1.0, None), "best", 2),
        ((3.0, 1.0, 2.0), "last", 3),
        ((3.0, 1.0, 2.0), 1, 1),
    ],
)
def test_the_best_the_last_or_a_step_is_chosen(
    tmp_path: Path, losses: tuple[float | None, ...], choice: str | int, step: int
) -> None:
    point, folder = kept(tmp_path, *losses).chosen(choice)  # type: ignore[arg-type]
    assert point.step == step
    assert (
        folder / "adapter_model.safetensors"
    ).read_text() == f"adapter_model.safetensors of {step}"


def test_a_step_that_was_not_kept_is_refused_with_those_that_were(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="step 7 was kept; there are: 1, 2"):
        kept(tmp_path, 2.0, 1.0).chosen(7)


def test_a_run_that_goes_on_from_an_earlier_step_replaces_what_came_after_it(
    tmp_path: Path,
) -> None:
    found = kept(tmp_path, 3.0, 1.0, 2.0)
    found.add(2, 1.5, checkpoint(tmp_path / "again", 2))
    assert found.points() == [Point(1, 3.0), Point(2, 1.5)]


def test_a_kill_while_a_step_is_kept_again_leaves_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kept(tmp_path, 3.0, 1.0)
    names: list[str] = []

    def killed(source: Path, target: Path) -> None:
        names.append(target.name)
        if len(names) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("finetune.job.kept.link_or_copy", killed)
    with pytest.raises(KeyboardInterrupt):
        found.add(2, 1.5, checkpoint(tmp_path / "again", 2))
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    _, weights = found.chosen(2)
    assert (weights / "adapter_model.safetensors").read_text().endswith("of 2"), "the whole one"
    monkeypatch.undo()
    shutil.rmtree(weights)
    (tmp_path / "again" / "checkpoints" / "checkpoint-2" / "trainer_state.json").write_text("{}")
    again = Checkpoint(2, tmp_path / "again" / "checkpoints" / "checkpoint-2", is_last=False)
    stage.keep_too(found, again)
    assert [point.step for point in found.there()] == [1, 2], "kept again when it goes on"


def test_of_whole_models_only_the_best_and_the_last_are_kept(tmp_path: Path) -> None:
    found = Kept(tmp_path)
    for step, loss in enumerate((3.0, 1.0, 2.0, 2.5), 1):
        found.add(step, loss, checkpoint(tmp_path, step, "config.json", "model.safetensors"))
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"2", "4"}
    with pytest.raises(StageFailed, match="there are: 2, 4"):
        found.chosen(1)


def test_it_is_time_to_stop_when_the_loss_was_lowest_before_the_last_evaluations() -> None:
    falling = [Point(1, 3.0), Point(2, 2.0), Point(3, 1.0)]
    assert not has_stalled(falling, 1)
    assert has_stalled([*falling, Point(4, 1.0)], 1)
    assert not has_stalled([*falling, Point(4, 1.0)], 2)
    assert not has_stalled([Point(1, None)], 1)
    assert best(falling).step == 3


def test_a_checkpoint_that_was_saved_and_not_kept_is_kept_at_the_next_start(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 2)
    (path / "trainer_state.json").write_text(
        '{"log_history": [{"step": 1, "eval_loss": 3.0}, {"step": 2, "eval_loss": 1.0}]}'
    )
    found = kept(tmp_path / "kept_before", 2.0)
    stage.keep_too(found, Checkpoint(2, path, is_last=True))
    assert found.points() == [Point(1, 2.0), Point(2, 1.0)]
    stage.keep_too(found, Checkpoint(2, path, is_last=True))
    assert len(found.points()) == 2
