"""Ways to train that the life of a job does not take: other widths, other templates, packing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.data.rows import Chat, Conversation
from finetune.job.directory import JobDirectory
from finetune.job.spec import TrainingParameters
from finetune.job.stage import Interrupted, StageFailed, needs, read_spec
from finetune.stages.dataset import dataset
from finetune.stages.train import train
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import load_base
from finetune.training.progress import StopWish
from finetune.training.sequences import stored
from finetune.training.supervision import IGNORED, Supervision
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import DEMO_MODEL, events, new_job

pytestmark = pytest.mark.real

WITHOUT_MARKS = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}"
    "{{ eos_token }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


@pytest.fixture(scope="module")
def other_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with a chat template that does not mark what the assistant says."""
    folder = tmp_path_factory.mktemp("other") / "base"
    shutil.copytree(DEMO_MODEL, folder)
    (folder / "chat_template.jinja").write_text(WITHOUT_MARKS)
    return folder


def trained(job: JobDirectory) -> dict[str, Any]:
    """What the finished stage says of itself."""
    spec = read_spec(job)
    dataset(job, spec, job.stage("dataset"))
    train(StopWish(), job, spec, job.stage("train"))
    return json.loads(job.stage("train").done_path.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(
            {"bits": 16, "packing": True, "max_length": 128, "batch_size": 1},
            id="16 bits, packed",
        ),
        pytest.param({"bits": 8, "gradient_checkpointing": False}, id="8 bits"),
    ],
)
def test_other_widths_learn_too(jobs_folder: Path, parameters: dict[str, Any]) -> None:
    job = new_job(
        jobs_folder / f"job_{parameters['bits']}",
        question_rows(),
        **{"learning_rate": 5e-3, "batch_size": 8, "epochs": 2, "rank": 8, "lora_alpha": 8}
        | parameters,
    )
    facts = trained(job)
    assert facts["eval_loss"] < facts["eval_loss_before"]
    if parameters.get("packing"):
        assert facts["sequences"] < 20, "38 rows were put together"


def test_without_marks_only_the_assistant_is_learned_all_the_same(
    other_base: Path, jobs_folder: Path
) -> None:
    tokenizer = load_tokenizer(other_base)
    row: Conversation = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
        {"role": "assistant", "content": "Four."},
    ]
    end = tokenizer.eos_token
    sequences = stored(jobs_folder / "x.arrow", Supervision(tokenizer), [Chat(1, row)], 1024)
    assert [learned_text(tokenizer, sequence) for sequence in sequences] == [
        f" Two.{end}",
        f" Four.{end}",
    ]
    job = new_job(
        jobs_folder / "job_marks",
        question_rows(),
        base_model_folder=str(other_base),
        bits=16,
        learning_rate=5e-3,
        batch_size=8,
    )
    facts = trained(job)
    assert facts["eval_loss"] < facts["eval_loss_before"]


def learned_text(tokenizer: PreTrainedTokenizerBase, example: dict[str, list[int]]) -> str:
    return str(tokenizer.decode([label for label in example["labels"] if label != IGNORED]))


@pytest.mark.parametrize("by_marks", [True, False])
def test_the_labels_are_those_that_trl_would_set(
    by_marks: bool, other_base: Path, tmp_path: Path
) -> None:
    base = DEMO_MODEL if by_marks else other_base
    tokenizer = load_tokenizer(base)
    rows = question_rows()[:3]
    trainer: Any = SFTTrainer(
        model=load_base(base, TrainingParameters(bits=16)),
        args=SFTConfig(
            str(tmp_path), assistant_only_loss=by_marks, use_cpu=True, bf16=False, report_to="none"
        ),
        train_dataset=Dataset.from_list(
            [
                {"messages": row} if by_marks else {"prompt": row[:1], "completion": row[1:]}
                for row in rows
            ]
        ),
        processing_class=tokenizer,
    )
    chats = [Chat(number, row) for number, row in enumerate(rows)]
    ours = stored(tmp_path / "x.arrow", Supervision(tokenizer), chats, 1024)
    assert [(row["input_ids"], row["labels"]) for row in ours] == [
        (row["input_ids"], row["labels"]) for row in trainer.train_dataset
    ]


def test_an_accumulation_that_gives_no_step_fails_before_training(jobs_folder: Path) -> None:
    job = new_job(jobs_folder / "job_steps", question_rows()[:5], gradient_accumulation_steps=50)
    with pytest.raises(StageFailed, match="Too few optimiser steps"):
        trained(job)
    assert not events(job, "progress")


def test_a_missing_stage_is_named(jobs_folder: Path) -> None:
    job = new_job(jobs_folder / "job_missing", question_rows())
    with pytest.raises(
        StageFailed, match=r"dataset/done\.json.*python -m finetune\.stages\.dataset"
    ):
        needs(job, "dataset", "train.jsonl")


def test_a_wish_to_stop_waits_for_a_step_only_while_there_are_steps() -> None:
    wish = StopWish()
    wish.is_training = True
    wish.make()
    assert wish.is_made
    wish.is_training = False
    with pytest.raises(Interrupted):
        wish.make()


def test_a_4_bit_base_passes_gradients_on_after_an_evaluation() -> None:
    model = load_base(DEMO_MODEL, TrainingParameters(bits=4))
    layer = model.model.layers[0].mlp.up_proj
    values = torch.randn(1, 3, layer.in_features, dtype=torch.bfloat16)
    model.eval()
    with torch.no_grad():
        layer(values)
    model.train()
    values.requires_grad_()
    layer(values).sum().backward()
    assert values.grad is not None
    assert values.grad.abs().sum() > 0


@pytest.mark.parametrize("adapter", ["rslora", "dora", "full"])
def test_every_kind_of_adapter_learns_and_leaves_what_the_export_reads(
    jobs_folder: Path, adapter: str
) -> None:
    job = new_job(
        jobs_folder / f"job_{adapter}",
        question_rows(),
        adapter=adapter,
        bits=16,
        rank=8,
        lora_alpha=8,
        learning_rate=5e-4 if adapter == "full" else 5e-3,
        batch_size=8,
        gradient_checkpointing=False,
    )
    facts = trained(job)
    assert facts["eval_loss"] < facts["eval_loss_before"]
    expected = "model/config.json" if adapter == "full" else "adapter/adapter_config.json"
    assert expected in facts["files"]
    if adapter == "full":
        assert json.loads((job.path / "train" / expected).read_text())["dtype"] == "float16"
    else:
        said = json.loads((job.path / "train" / expected).read_text())
        assert (said["use_rslora"], said["use_dora"]) == (adapter == "rslora", adapter == "dora")
