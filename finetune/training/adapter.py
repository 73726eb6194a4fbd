"""What every method trains: the base in 4, 8 or 16 bits, and a LoRA adapter on it."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from finetune.job.spec import TrainingParameters


def dtype() -> torch.dtype:
    """What is computed in here: bfloat16 where the GPU knows it, float32 on a CPU."""
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _quantization(bits: int) -> Any:
    make: Any = BitsAndBytesConfig
    if bits == 8:
        return make(load_in_8bit=True)
    if bits == 16:
        return None
    return make(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype(),
    )


def load_base(folder: Path, bits: int) -> Any:
    """The base as it is trained: 4 or 8 bits through bitsandbytes, 16 as it is."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=dtype(),
        device_map={"": 0} if torch.cuda.is_available() else "cpu",
        quantization_config=_quantization(bits),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    # bitsandbytes 0.50 packs 4-bit weights for inference at the first forward pass in eval mode on a
    # CPU with AVX512_BF16, and packed weights pass no gradient on. To go when a release trains there.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def lora(parameters: TrainingParameters) -> Any:
    """The adapter that is trained, on every linear layer."""
    return LoraConfig(
        r=parameters.rank,
        lora_alpha=parameters.lora_alpha,
        lora_dropout=parameters.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
