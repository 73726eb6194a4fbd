"""Another chat template than the base has: given as text, or ChatML, whose marks are added and learned."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune import chat_templates
from finetune.data.rows import Chat, write_rows
from finetune.job.directory import JobDirectory
from finetune.job.stage import fingerprint, read_spec
from finetune.stages.convert import convert
from finetune.stages.quantize import quantize
from finetune.stages.train import train
from finetune.stages.verify import verify
from finetune.tokenizer import load_tokenizer
from finetune.training.progress import StopWish
from finetune.training.supervision import Supervision
from tests.finetune.bases.forms import make
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import DEMO_MODEL, new_job

pytestmark = pytest.mark.real

GIVEN = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
ROW = Chat(1, [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."}])
STAGES = {"convert": convert, "quantize": quantize, "verify": verify}


def learned(base: Path, template: str) -> str:
    """What is learned of a row."""
    tokenizer = load_tokenizer(base, template)
    (example,) = Supervision(tokenizer).of(ROW)
    pairs = zip(example.ids, example.learned, strict=True)
    return str(tokenizer.decode([id_ for id_, is_learned in pairs if is_learned])).strip()


def exported(base: Path, folder: Path, **parameters: Any) -> tuple[JobDirectory, dict[str, Any]]:
    """A job that went through all its stages, and what the gate says of it."""
    settings: dict[str, Any] = {"rank": 8, "lora_alpha": 8, "batch_size": 8, "learning_rate": 5e-3}
    job = new_job(
        folder,
        (),
        **settings,
        **parameters,
        base_model_folder=str(base),
        epochs=3,
        quantization="Q8_0",
        gradient_checkpointing=False,
    )
    spec = read_spec(job)
    data = job.stage("dataset")
    paths = [data.path / "train.jsonl", data.path / "eval.jsonl"]
    chats = [Chat(number, row) for number, row in enumerate(question_rows())]
    for path, rows in zip(paths, (chats[2:], chats[:2]), strict=True):
        write_rows(path, rows)
    data.mark_done(paths, base=fingerprint(base))
    train(StopWish(), job, spec, job.stage("train"))
    for name in ("convert", "quantize", "verify"):
        STAGES[name](job, spec, job.stage(name))
    return job, json.loads((job.path / "verify" / "report.json").read_text())


def test_a_template_that_is_given_is_trained_with() -> None:
    assert learned(DEMO_MODEL, GIVEN) == "Two.<|im_end|>"


def test_chatml_adds_its_marks_only_where_they_lack(tmp_path: Path) -> None:
    demo = load_tokenizer(DEMO_MODEL)
    again = load_tokenizer(DEMO_MODEL, "chatml")
    assert again.get_vocab() == demo.get_vocab()
    assert chat_templates.rows_needed(DEMO_MODEL, again, "chatml") == 0
    base = make("mistral-base", tmp_path / "base")
    tokenizer = load_tokenizer(base, "chatml")
    added = len(load_tokenizer(base)) + 2
    assert chat_templates.rows_needed(base, tokenizer, "chatml") == added == len(tokenizer)
    assert learned(base, "chatml") == "Two.<|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>"


@pytest.mark.parametrize(
    ("form", "parameters"),
    [
        pytest.param("mistral-base", {"bits": 4}, id="untied, 4 bits"),
        pytest.param("gpt-2", {"bits": 16}, id="tied, Conv1D", marks=pytest.mark.soak),
        pytest.param("llama-3.2-instruct", {"bits": 8}, id="tied, 8 bits", marks=pytest.mark.soak),
        pytest.param(
            "mistral-base", {"bits": 16, "adapter": "full"}, id="full", marks=pytest.mark.soak
        ),
        pytest.param(
            "mistral-base", {"bits": 16, "adapter": "dora"}, id="dora", marks=pytest.mark.soak
        ),
    ],
)
def test_marks_that_were_added_are_learned_and_exported(
    tmp_path: Path, form: str, parameters: dict[str, Any]
) -> None:
    base = make(form, tmp_path / "base")
    job, report = exported(base, tmp_path / "job", chat_template="chatml", **parameters)
    assert report["refused"] == []
    own = load_tokenizer(job.path / "train" / "tokenizer")
    assert own.get_vocab() == load_tokenizer(base, "chatml").get_vocab()
    assert own.chat_template == load_tokenizer(base, "chatml").chat_template


def test_a_given_template_is_in_the_published_file(tmp_path: Path) -> None:
    base = make("llama-3-instruct", tmp_path / "base")
    _, report = exported(base, tmp_path / "job", chat_template=GIVEN, bits=16)
    assert report["refused"] == []
