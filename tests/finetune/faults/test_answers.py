"""What a model says and when it ends, against the model that was trained."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from finetune.checks import speaking
from finetune.checks.comparing import Expected, Seen, above
from finetune.checks.files import Examination
from finetune.checks.passages import Passage, choose
from finetune.checks.reference import Reference
from finetune.checks.verdict import Refused
from finetune.data.rows import Chat
from finetune.job.parameters.checking import Bounds
from finetune.tokenizer import load_tokenizer
from finetune.training.supervision import Supervision
from tests.finetune.conftest import question_rows
from tests.finetune.faults.conftest import Bench

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def test_an_end_that_the_template_never_writes_is_named(bench: Bench) -> None:
    tokenizer = load_tokenizer(bench.subject.base)
    tokenizer.chat_template = str(tokenizer.chat_template).replace("<|im_end|>", "")
    rows = [Chat(number, row) for number, row in enumerate(question_rows()[:4], 1)]
    passages = choose(Supervision(tokenizer), rows)
    exam = Examination(replace(bench.subject, passages=passages), Bounds())
    exam.hold_exact("it", bench.exact, bench.reference, bench.reference.expect(passages))
    first, *_ = exam.verdict.refusals
    assert first.title == "The end was never learned"
    assert "talk on for ever" in first.detail


def test_an_end_that_was_taught_and_not_learned_is_a_warning() -> None:
    passage = Passage([1, 2, 3, 9], [2, 3])
    expected = Expected(
        np.array([[3, 4, 5, 6, 7], [8, 9, 5, 6, 7]]),
        np.log(np.full((2, 5), 0.2, np.float32)),
        np.log(np.array([0.9, 0.25], np.float32)),
    )
    warning = speaking.check_end([passage], [expected], lambda token: token == 9)
    assert warning is not None
    assert "25.00% likely" in warning
    assert speaking.check_end([passage], [expected], lambda token: token in (8, 9)) is None


def test_answers_of_the_base_do_not_become_probes(bench: Bench) -> None:
    exam = bench.examination()
    probes, said = exam.ask("it", bench.base)
    assert len(probes) == len(said) == 8
    with pytest.raises(Refused, match="would have said") as refused:
        speaking.judge_answers(said, bench.reference.expect(said), Bounds().answers)
    assert refused.value.title == "The GGUF answers differently"


def test_answers_of_the_quantized_file_are_the_trained_models(bench: Bench) -> None:
    _, said = bench.examination().ask("it", bench.quantized)
    gap = speaking.judge_answers(said, bench.reference.expect(said), Bounds().answers)
    assert gap < 0.05


def test_a_file_made_of_another_adapter_is_caught(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "adapter"
    shutil.copytree(bench.subject.trained, other)
    weights = load_file(other / "adapter_model.safetensors")
    turned = {
        name: tensor.flip(0) if "lora_B" in name else tensor for name, tensor in weights.items()
    }
    save_file(
        {name: tensor.contiguous() for name, tensor in turned.items()},
        other / "adapter_model.safetensors",
    )
    reference = Reference(bench.subject.base, other)
    exam = bench.examination()
    exam.hold_exact("it", bench.exact, reference, reference.expect(bench.subject.passages))
    assert exam.verdict.refusals[0].title == "The GGUF speaks differently"


def test_a_loss_over_equal_answers_is_one_observation() -> None:
    passages = [Passage([1, answer, 9], [1, 2]) for answer in (3, 3, 3, 4)]
    scores = np.zeros((2, 5), np.float32)
    likely, less = (
        Seen(np.zeros(2, np.int64), scores, np.full(2, value, np.float32)) for value in (-1, -2)
    )
    more = above(passages, [less, less, less, likely], [likely] * 4)
    assert (more.mean, more.answers) == (0.75, 2)
    assert more.error > 0.2
