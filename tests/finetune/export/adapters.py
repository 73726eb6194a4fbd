"""Adapters with random values on small bases, and what PEFT makes of them."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def save_base(folder: Path, config: Any) -> Path:
    """A base of random weights in bfloat16, as most are."""
    torch.manual_seed(1)
    auto: Any = AutoModelForCausalLM
    auto.from_config(config).to(torch.bfloat16).save_pretrained(str(folder))
    return folder


def load(base: Path) -> Any:
    """A base in float32."""
    return AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)


def save_adapter(base: Path, folder: Path, *, noise: float = 0.05, **settings: Any) -> Path:
    """A LoRA of the base whose values are all random, none zero."""
    wanted = {"target_modules": "all-linear"} | settings
    model: Any = get_peft_model(
        load(base), LoraConfig(r=4, lora_alpha=16, task_type="CAUSAL_LM", **wanted)
    )
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("lora_", "modules_to_save", "trainable_tokens")):
            parameter.data += torch.randn_like(parameter) * noise
    model.save_pretrained(str(folder))
    return folder


def by_peft(base: Path, adapter: Path, out: Path) -> dict[str, torch.Tensor]:
    """The tensors that PEFT's own merge saves, in float32."""
    model: Any = PeftModel.from_pretrained(load(base), str(adapter))
    model.merge_and_unload(safe_merge=True).save_pretrained(str(out))
    return load_file(out / "model.safetensors")


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor) -> int:
    """In steps of float16."""
    one, two = (
        tensor.to(torch.float16).contiguous().view(torch.int16).int() for tensor in (ours, theirs)
    )
    return int((one - two).abs().max())
