"""From rows to steps: every small set gets steps, and a wish that leaves too few is refused with numbers."""

import math
import re

import pytest

from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.training.schedule import require_steps, schedule


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


def test_an_asked_accumulation_is_kept_while_it_leaves_steps() -> None:
    assert schedule(spec(gradient_accumulation_steps=5), 50).steps == 10
    assert spec(gradient_accumulation_steps=5).refused_schedule(50) is None


@pytest.mark.parametrize(
    ("parameters", "sequences", "says"),
    [
        ({"gradient_accumulation_steps": 50}, 7, "=50 needs 50 batches .* an epoch has 7"),
        ({"gradient_accumulation_steps": 50, "epochs": 10}, 40, "do not reach over epochs"),
        ({"gradient_accumulation_steps": 25}, 50, "makes 2 optimiser steps of 50 sequences"),
        ({"gradient_accumulation_steps": 4, "epochs": 0.5}, 60, r"makes 8 .*\(30 steps\)"),
    ],
)
def test_accumulating_few_sequences_into_a_few_steps_is_refused_with_numbers(
    parameters: dict[str, float], sequences: int, says: str
) -> None:
    refusal = spec(**parameters).refused_schedule(sequences)
    assert refusal is not None
    assert refusal.parameter == "gradient_accumulation_steps"
    assert re.search(says, refusal.reason)
    with pytest.raises(StageFailed, match=says):
        require_steps(spec(**parameters), sequences, sequences)


def test_packing_a_few_examples_into_a_few_steps_is_refused_with_numbers() -> None:
    with pytest.raises(StageFailed, match=r"38 examples into 4 .* 4 optimiser .*\(38 steps\)"):
        require_steps(spec(packing=True), 38, 4)
    require_steps(spec(packing=True, epochs=10), 38, 4)
    require_steps(spec(), 4, 4)


@pytest.mark.parametrize("epochs", [0.5, 1, 1.5, 3])
@pytest.mark.parametrize("sequences", [1, 7, 29, 60, 61, 1000])
def test_steps_are_counted_as_the_trainer_counts_them(epochs: float, sequences: int) -> None:
    parameters = spec(epochs=epochs, batch_size=2)
    batches = -(-sequences // 2)
    an_epoch = -(-batches // parameters.accumulation(sequences))
    assert parameters.steps(sequences) == math.ceil(an_epoch * epochs)
    assert parameters.refused_schedule(sequences) is None


def test_checkpoints_are_written_every_tenth() -> None:
    assert schedule(spec(), 1000).checkpoint_steps == 3
    assert schedule(spec(), 5).checkpoint_steps == 1
    assert schedule(spec(checkpoint_steps=7), 1000).checkpoint_steps == 7
