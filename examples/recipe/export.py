"""The trained demo model as the folder that transformers and the converter read."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from examples.recipe.model import make_config


def load_model(tokenizer: PreTrainedTokenizerFast, weights: dict[str, Tensor]) -> LlamaForCausalLM:
    """The model of transformers with these weights."""
    model = LlamaForCausalLM(make_config(tokenizer))
    model.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]})
    model.tie_weights()
    return model


def export_model(
    folder: Path, tokenizer: PreTrainedTokenizerFast, weights: dict[str, Tensor]
) -> None:
    """Write the folder; every file appears whole, so that it can be read at any time."""
    model: Any = load_model(tokenizer, weights)
    model.to(torch.bfloat16)
    settings: Any = GenerationConfig
    model.generation_config = settings(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        for path in Path(temporary).iterdir():
            path.chmod(0o644)
            path.replace(folder / path.name)
