"""What cannot be fine-tuned is refused before any training, in words that say what to take instead."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from finetune.bases import cut_down as first_layers
from finetune.bases.cut_down import cut_down
from finetune.bases.refusals import TITLE, refuse
from finetune.bases.trial import try_base
from finetune.bases.trying import RESULT, require_tried
from finetune.job import child_process, tried
from finetune.job.stage import StageFailed
from tests.finetune.bases.forms import make
from tests.finetune.jobs import new_job

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 640,
}


def with_config(folder: Path, **changed: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed), "utf-8")
    return folder


def another(folder: Path, model: Any) -> Path:
    """A GPT-2 folder with another model in it."""
    made = make("gpt-2", folder)
    (made / "config.json").unlink()
    model.half().save_pretrained(str(made))
    return made


def refusal(folder: Path, tmp_path: Path) -> str:
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(StageFailed) as refused:
        try_base(folder, "mine", work)
    assert refused.value.title == TITLE
    return refused.value.detail


@pytest.mark.parametrize("method", ["awq", "gptq", "bitsandbytes", "fp8"])
def test_a_quantized_folder_is_refused(tmp_path: Path, method: str) -> None:
    folder = make("llama-3-base", tmp_path / "base")
    with_config(folder, quantization_config={"quant_method": method})
    said = refusal(folder, tmp_path)
    assert f"quantized ({method})" in said
    assert "Take the model that it was made from" in said


def test_a_folder_with_the_settings_of_gptq_beside_it_is_refused(tmp_path: Path) -> None:
    folder = make("llama-3-base", tmp_path / "base")
    (folder / "quantize_config.json").write_text("{}")
    with pytest.raises(StageFailed, match="quantized"):
        refuse(folder, "mine")


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    kind: Any = AutoModelForSeq2SeqLM
    config = transformers.T5Config(vocab_size=640, d_model=64, d_kv=16, d_ff=64, num_layers=1)
    said = refusal(another(tmp_path / "base", kind.from_config(config)), tmp_path)
    assert "an encoder with a decoder" in said
    assert "Take a base of another family" in said


def test_what_llama_cpp_does_not_have_is_refused(tmp_path: Path) -> None:
    kind: Any = AutoModelForCausalLM
    config = transformers.OPTConfig(**SMALL, ffn_dim=64, word_embed_proj_dim=64)
    folder = another(tmp_path / "base", kind.from_config(config))
    assert "llama.cpp has no OPT" in refusal(folder, tmp_path)


def test_what_makes_no_text_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(**SMALL, intermediate_size=64)
    folder = another(tmp_path / "base", transformers.BertModel(config))
    assert "makes no text (BertModel" in refusal(folder, tmp_path)


def test_a_type_that_transformers_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = with_config(make("llama-3-base", tmp_path / "base"), model_type="unheard_of")
    assert "transformers does not know mine" in refusal(folder, tmp_path)


def test_an_architecture_that_the_converter_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = make("llama-3-base", tmp_path / "base")
    with_config(folder, architectures=["UnheardOfForCausalLM"])
    assert "UnheardOfForCausalLM is not supported" in refusal(folder, tmp_path)


def test_a_vocabulary_that_is_cut_in_an_unknown_way_is_refused(tmp_path: Path) -> None:
    folder = make("llama-3-base", tmp_path / "base")
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    content["pre_tokenizer"] = {"type": "Whitespace"}
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    assert "pre-tokenizer was not recognized" in refusal(folder, tmp_path)


def test_a_file_that_speaks_differently_is_refused(tmp_path: Path) -> None:
    """llama.cpp leaves every fourth layer without positions, whatever the configuration says."""
    folder = with_config(make("smollm-3", tmp_path / "base"), no_rope_layers=[1, 0])
    assert "speaks differently" in refusal(folder, tmp_path)


def test_a_large_base_is_tried_by_its_first_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_layers, "SMALL", 0)
    folder = make("gemma-3-it", tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    more = {
        name.replace(".5.", ".6."): tensor.clone()
        for name, tensor in weights.items()
        if ".layers.5." in name
    }
    save_file(weights | more, folder / "model.safetensors", {"format": "pt"})
    kinds = json.loads((folder / "config.json").read_text())["layer_types"]
    with_config(folder, num_hidden_layers=7, layer_types=[*kinds, "sliding_attention"])
    work = tmp_path / "work"
    work.mkdir()
    assert try_base(folder, "mine", work) is not None
    small = json.loads((work / "small" / "config.json").read_text())
    assert (small["num_hidden_layers"], small["layer_types"]) == (6, kinds)
    left = load_file(work / "small" / "model.safetensors")
    assert torch.equal(left["model.norm.weight"], weights["model.norm.weight"])
    assert not [name for name in left if ".layers.6." in name]


def test_a_small_base_is_tried_whole(tmp_path: Path) -> None:
    folder = make("gpt-2", tmp_path / "base")
    assert cut_down(folder, tmp_path) == folder


def test_what_a_trial_showed_is_remembered_for_these_files_alone(tmp_path: Path) -> None:
    folder = make("gpt-2", tmp_path / "base")
    assert not tried.known(folder)
    tried.remember(folder, None)
    assert tried.known(folder)
    with_config(folder, bos_token_id=1)
    assert not tried.known(folder)
    tried.remember(folder, StageFailed("No", "because"))
    with pytest.raises(StageFailed, match="because"):
        tried.known(folder)


@pytest.mark.parametrize(
    ("program", "title"),
    [
        ("import os; os.abort()", TITLE),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "Not enough memory"),
        ("raise OSError('nowhere')", "The base could not be tried"),
    ],
)
def test_a_trial_that_does_not_come_back_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, title: str
) -> None:
    folder = make("gpt-2", tmp_path / "base")
    run = child_process.run
    monkeypatch.setattr(
        child_process, "run", lambda command, **how: run([command[0], "-c", program], **how)
    )
    with pytest.raises(StageFailed) as failed:
        require_tried(folder, "mine", tmp_path)
    assert failed.value.title == title
    assert not (tmp_path / ".trying").exists()


@pytest.mark.real
def test_a_job_tries_a_base_that_was_put_there_by_hand_and_ends_at_once(tmp_path: Path) -> None:
    from finetune.job.stage import read_spec
    from finetune.stages.dataset import dataset
    from tests.finetune.conftest import question_rows

    folder = with_config(make("smollm-3", tmp_path / "base"), no_rope_layers=[1, 0])
    job = new_job(tmp_path / "job", question_rows()[:12])
    for _ in range(2):  # the second time it is remembered
        with pytest.raises(StageFailed, match="speaks differently"):
            dataset(job, read_spec(job), job.stage("dataset"))
    assert json.loads((folder / tried.RECORD).read_text())["refused"]["title"] == TITLE
    assert not (job.path / ".trying").exists()
    assert RESULT not in [path.name for path in job.path.rglob("*")]
