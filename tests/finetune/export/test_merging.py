"""Merging tensor by tensor gives what PEFT's merge of the whole model gives, for every form of adapter."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import GPT2Config, MixtralConfig, PretrainedConfig, Qwen3MoeConfig

from finetune.export.merged import merged
from finetune.export.weights import PART_ELEMENTS, stored_in
from finetune.job.stage import StageFailed
from tests.finetune.export.adapters import (
    by_peft,
    largest_difference,
    load,
    save_adapter,
    save_base,
)
from tests.finetune.jobs import DEMO_MODEL

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 128,
}
FORMS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"alpha_pattern": {"q_proj": 4}, "rank_pattern": {"v_proj": 3}},
    "embedding and head": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "embedding": {"modules_to_save": ["embed_tokens"]},
    "embedding, tied": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "tokens": {"trainable_token_indices": [3, 5, 9]},
}
BASES: dict[str, PretrainedConfig] = {
    "experts": MixtralConfig(**SMALL, num_local_experts=4),
    "named experts": Qwen3MoeConfig(
        **SMALL, moe_intermediate_size=48, num_experts=4, decoder_sparse_step=1
    ),
    "turned matrices": GPT2Config(
        n_embd=64, n_layer=2, n_head=4, vocab_size=128, n_positions=128, eos_token_id=1
    ),
}


def require_equal(base: Path, adapter: Path, folder: Path) -> dict[str, Any]:
    """Every tensor there, and each within one step of float16; what changes of the configuration."""
    theirs = by_peft(base, adapter, folder / "peft")
    ours = merged(base, adapter)
    for weight in ours.weights:
        made = weight.load()
        assert (tuple(made.shape), made.dtype) == (weight.shape, weight.dtype)
        assert largest_difference(made, theirs.pop(weight.name)) <= 1, weight.name
    assert not theirs
    return ours.config


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_adapter_is_merged_as_peft_does(form: str, tmp_path: Path) -> None:
    adapter = save_adapter(DEMO_MODEL, tmp_path / "adapter", **FORMS[form])
    config = require_equal(DEMO_MODEL, adapter, tmp_path)
    is_untied = form in ("embedding and head", "embedding")
    assert config == ({"tie_word_embeddings": False} if is_untied else {})


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("form", ["lora", "dora"])
def test_mixtures_and_turned_matrices_are_merged_as_peft_does(
    base: str, form: str, tmp_path: Path
) -> None:
    settings = FORMS[form]
    if form == "dora" and "experts" in base:  # PEFT has no DoRA of stacked experts
        settings = {"use_dora": True, "target_modules": ["q_proj", "o_proj"]}
    folder = save_base(tmp_path / "base", BASES[base])
    adapter = save_adapter(folder, tmp_path / "adapter", **settings)
    assert require_equal(folder, adapter, tmp_path) == {}


def test_a_trained_embedding_alone_leaves_a_tied_head_as_it_was_trained(tmp_path: Path) -> None:
    """PEFT's merge changes both, which is not what the trained model computes."""
    adapter = save_adapter(
        DEMO_MODEL, tmp_path / "adapter", target_modules=["embed_tokens", "q_proj"]
    )
    ours = merged(DEMO_MODEL, adapter)
    tuned: Any = load(DEMO_MODEL)
    tuned.config.tie_word_embeddings = False
    tuned.lm_head.weight = torch.nn.Parameter(tuned.lm_head.weight.detach().clone())
    tuned.load_state_dict({one.name: one.load().float() for one in ours.weights})
    tokens = torch.arange(5, 25)[None]
    with torch.inference_mode():
        adapted: Any = PeftModel.from_pretrained(load(DEMO_MODEL), str(adapter))
        assert torch.allclose(tuned(tokens).logits, adapted(tokens).logits, atol=0.05)
    assert ours.config == {"tie_word_embeddings": False}


def test_tokens_of_its_own_enlarge_the_vocabulary(tmp_path: Path) -> None:
    bigger: Any = load(DEMO_MODEL)
    rows = bigger.config.vocab_size
    bigger.resize_token_embeddings(rows + 2, mean_resizing=False)
    bigger.save_pretrained(str(tmp_path / "bigger"))
    adapter = save_adapter(
        tmp_path / "bigger", tmp_path / "adapter", trainable_token_indices=[rows, rows + 1]
    )
    ours = merged(DEMO_MODEL, adapter)
    assert ours.config == {"vocab_size": rows + 2}
    (embedding,) = [one for one in ours.weights if "embed" in one.name]
    values = embedding.load()
    assert values.shape[0] == rows + 2
    assert values[rows:].abs().sum() > 0
    assert torch.equal(values[:rows], stored_in(DEMO_MODEL)[0].whole().to(torch.float16))


def test_parts_of_a_matrix_are_changed_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = save_adapter(DEMO_MODEL, tmp_path / "adapter")
    whole = {one.name: one.load() for one in merged(DEMO_MODEL, adapter).weights}
    monkeypatch.setattr("finetune.export.weights.PART_ELEMENTS", PART_ELEMENTS // 2**13)
    monkeypatch.setattr("finetune.export.weights.LARGE", 2**10)
    for one in merged(DEMO_MODEL, adapter).weights:
        assert largest_difference(one.load(), whole[one.name]) <= 1


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    other = save_base(tmp_path / "other", BASES["turned matrices"])
    adapter = save_adapter(other, tmp_path / "adapter")
    with pytest.raises(StageFailed, match="does not fit the base"):
        merged(DEMO_MODEL, adapter)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"bias": "all"}, "biases"), ({"init_lora_weights": "pissa"}, "changes the base")],
)
def test_what_an_adapters_files_do_not_hold_whole_is_refused(
    settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    adapter = save_adapter(DEMO_MODEL, tmp_path / "adapter", **settings)
    with pytest.raises(StageFailed, match=says):
        merged(DEMO_MODEL, adapter)


def test_values_beyond_float16_are_refused_by_name(tmp_path: Path) -> None:
    adapter = save_adapter(DEMO_MODEL, tmp_path / "adapter", alpha_pattern={"q_proj": 10**9})
    (query, *_) = [one for one in merged(DEMO_MODEL, adapter).weights if "q_proj" in one.name]
    with pytest.raises(StageFailed, match=r"q_proj.*65,504"):
        query.load()
