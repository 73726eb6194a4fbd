"""From rows to steps: every small set gets steps, and a wish that gives none is refused with numbers."""

import pytest

from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.training.schedule import schedule


def spec(**parameters: object) -> FineTuneSpec:
    names = {"model_name": "tuned", "base_model": "demo", "base_model_folder": "../base"}
    return FineTuneSpec.model_validate(names | parameters)


@pytest.mark.parametrize(
    ("sequences", "accumulation", "steps"), [(1, 1, 1), (29, 1, 29), (150, 5, 30), (5000, 50, 100)]
)
def test_accumulation_leaves_thirty_steps_where_it_can(
    sequences: int, accumulation: int, steps: int
) -> None:
    plan = schedule(spec(), sequences)
    assert (plan.gradient_accumulation_steps, plan.steps) == (accumulation, steps)


def test_an_asked_accumulation_is_kept_while_it_gives_a_step() -> None:
    assert schedule(spec(gradient_accumulation_steps=50), 50).steps == 1


def test_an_accumulation_that_gives_no_step_is_refused_with_numbers() -> None:
    with pytest.raises(StageFailed, match=r"=50 needs 50 batches .* give 7 in all"):
        schedule(spec(gradient_accumulation_steps=50), 7)


def test_what_packing_leaves_makes_one_step_at_least() -> None:
    plan = schedule(spec(gradient_accumulation_steps=50, packing=True, epochs=2), 4)
    assert (plan.gradient_accumulation_steps, plan.steps) == (8, 2)


def test_checkpoints_are_written_every_tenth() -> None:
    assert schedule(spec(), 1000).checkpoint_steps == 3
    assert schedule(spec(), 5).checkpoint_steps == 1
    assert schedule(spec(checkpoint_steps=7), 1000).checkpoint_steps == 7
