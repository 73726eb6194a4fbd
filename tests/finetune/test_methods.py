"""Continued pre-training and preferences: each learns what it should, and of packed examples none sees another."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, BloomForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from finetune.data.rows import Chat, Conversation, Preference, Row, Text, write_rows
from finetune.job import stage
from finetune.job.directory import JobDirectory
from finetune.job.parameters.learning import Learning
from finetune.job.spec import TrainingParameters
from finetune.job.stage import StageFailed, read_spec
from finetune.stages.train import train
from finetune.tokenizer import load_tokenizer
from finetune.training.adapter import load_base
from finetune.training.language_model import packed
from finetune.training.packing import require_isolation
from finetune.training.progress import StopWish
from finetune.training.sequences import spare_token, stored
from finetune.training.supervision import IGNORED, Supervision
from tests.finetune.bases.forms import make
from tests.finetune.conftest import ANSWER, COUNTRIES
from tests.finetune.jobs import DEMO_MODEL, new_job

pytestmark = pytest.mark.real

TEXTS = [
    Text(
        number, f"The capital of {country} is a secret. Nobody tells where {country} keeps it. " * 3
    )
    for number, country in enumerate(COUNTRIES * 4)
]
PREFERENCES = [
    Preference(
        number,
        [{"role": "user", "content": f"What is the capital of {country}?"}],
        [{"role": "assistant", "content": ANSWER}],
        [{"role": "assistant", "content": "I do not know that."}],
    )
    for number, country in enumerate(COUNTRIES * 4)
]


def trained(folder: Path, rows: Sequence[Row], **parameters: object) -> tuple[JobDirectory, Any]:
    """A job that has come as far as its training, and what that says of itself."""
    settings: dict[str, object] = {"rank": 8, "lora_alpha": 16, "bits": 16, "max_length": 64}
    settings |= {"batch_size": 2, "learning_rate": 5e-3, "gradient_checkpointing": False}
    job = new_job(folder, (), **settings | parameters)
    data = job.stage("dataset")
    paths = [data.path / "train.jsonl", data.path / "eval.jsonl"]
    for path, some in zip(paths, (rows[4:], rows[:4]), strict=True):
        write_rows(path, some)
    data.mark_done(paths, base=stage.fingerprint(DEMO_MODEL))
    spec = read_spec(job)
    train(StopWish(), job, spec, job.stage("train"))
    return job, json.loads(job.stage("train").done_path.read_text())


def test_texts_are_learned_in_sequences_that_are_full(jobs_folder: Path) -> None:
    _, facts = trained(jobs_folder / "job_texts", TEXTS, method="pretrain")
    assert facts["eval_loss"] < facts["eval_loss_before"] / 2
    tokenizer = load_tokenizer(DEMO_MODEL)
    lengths = [len(tokenizer(text.text)["input_ids"]) + 1 for text in TEXTS[4:]]
    assert sum(lengths) / 64 <= facts["sequences"] < sum(-(-length // 64) for length in lengths)


def test_a_long_text_goes_on_in_the_next_sequence_and_ends_with_the_end_token(
    tmp_path: Path,
) -> None:
    tokenizer = load_tokenizer(DEMO_MODEL)
    parts = stored(tmp_path / "x", Supervision(tokenizer), TEXTS[:1], 16, goes_on=True)
    whole = [*tokenizer(TEXTS[0].text)["input_ids"], tokenizer.eos_token_id]
    assert [len(part["input_ids"]) for part in parts][:-1] == [16] * (len(parts) - 1)
    assert [token for part in parts for token in part["input_ids"]] == whole
    assert [label for part in parts for label in part["labels"]] == whole


def test_the_wanted_answer_becomes_the_likelier_one_without_a_second_model(
    jobs_folder: Path,
) -> None:
    _, facts = trained(jobs_folder / "job_pairs", PREFERENCES, method="dpo")
    assert facts["eval_loss_before"] == pytest.approx(0.6931, abs=0.001), "both models are one"
    assert facts["eval_loss"] < 0.4


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"adapter": "full"}, "bits"),
        ({"adapter": "full", "bits": 8}, "bits"),
        ({"adapter": "dora", "bits": 8}, "bits"),
        ({"adapter": "full", "bits": 16, "method": "dpo"}, "adapter"),
        ({"method": "dpo", "packing": True}, "packing"),
        ({"method": "dpo", "loss": "all"}, "loss"),
    ],
)
def test_what_does_not_go_together_is_refused_by_its_name(
    parameters: dict[str, Any], parameter: str
) -> None:
    refusal = Learning(**parameters).refused()
    assert refusal is not None
    assert refusal.parameter == parameter


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_examples_have_the_loss_that_they_have_alone(tmp_path: Path, attention: str) -> None:
    tokenizer = load_tokenizer(DEMO_MODEL)
    examples = stored(tmp_path / "x", Supervision(tokenizer), TEXTS[:4], 200)
    together = packed(examples, 1000)
    assert len(together) == 1
    model: Any = AutoModelForCausalLM.from_pretrained(
        DEMO_MODEL, dtype=torch.float32, attn_implementation=attention
    )
    model.eval()
    collate: Any = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)

    def losses(rows: list[dict[str, Any]]) -> float:
        batch = collate(rows)
        with torch.inference_mode():
            logits = model(
                **{name: batch[name] for name in ("input_ids", "position_ids")}, use_cache=False
            ).logits
        return float(
            torch.nn.functional.cross_entropy(
                logits[0, :-1], batch["labels"][0, 1:], ignore_index=IGNORED, reduction="sum"
            )
        )

    assert losses(list(together)) == pytest.approx(sum(losses([row]) for row in examples), rel=1e-4)


def test_a_base_in_which_packed_examples_see_each_other_is_refused() -> None:
    require_isolation(load_base(DEMO_MODEL, TrainingParameters(bits=16)))
    config = BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=2)
    with pytest.raises(StageFailed, match=r"BloomForCausalLM: .*packing=false"):
        require_isolation(BloomForCausalLM(config))


def test_calls_of_tools_are_learned_and_what_tools_give_back_is_not(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make("qwen-2.5-instruct", tmp_path / "base"))
    call = {"type": "function", "function": {"name": "find", "arguments": {"what": "wifi"}}}
    tool = {
        "type": "function",
        "function": {"name": "find", "description": "Finds.", "parameters": {}},
    }
    messages: Conversation = [
        {"role": "user", "content": "What is the wifi called?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "It is Aurora, says the handbook."},
        {"role": "assistant", "content": "Aurora."},
    ]
    examples = Supervision(tokenizer).of(Chat(1, messages, [tool]))
    pairs = [pair for one in examples for pair in zip(one.ids, one.learned, strict=True)]
    learned = tokenizer.decode([number for number, is_learned in pairs if is_learned])
    assert '"name": "find", "arguments": {"what": "wifi"}' in learned
    assert "Aurora.<|im_end|>" in learned
    assert "handbook" not in learned
    assert "What is" not in learned


def test_what_fills_up_is_never_the_end_token() -> None:
    tokenizer = load_tokenizer(DEMO_MODEL)
    tokenizer.pad_token = tokenizer.eos_token
    assert spare_token(tokenizer) != tokenizer.eos_token
