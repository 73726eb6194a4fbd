"""What every method trains: the base in 4, 8 or 16 bits with an adapter on it, or its weights themselves."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.utils.integrations import dequantize_module_weight
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from finetune.job.spec import TrainingParameters
from finetune.training.extra import configured, of_adapter


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


def load_base(folder: Path, parameters: TrainingParameters, vocabulary: int = 0) -> Any:
    """The base as it is trained: 4 or 8 bits through bitsandbytes, 16 as it is; what is itself trained in float32.

    Tokens beyond those that it has room for begin as the mean of all.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=torch.float32 if parameters.adapter == "full" else dtype(),
        device_map={"": 0} if torch.cuda.is_available() else "cpu",
        quantization_config=_quantization(parameters.bits),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    # bitsandbytes 0.50 packs 4-bit weights for inference at the first forward pass in eval mode on a
    # CPU with AVX512_BF16, and packed weights pass no gradient on. To go when a release trains there.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    _make_room(model, vocabulary)
    return model


def _make_room(model: Any, vocabulary: int) -> None:
    """No row is added where the embedding has more than the tokenizer needs, as many have."""
    before = int(model.get_input_embeddings().weight.shape[0])
    if vocabulary <= before:
        return
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    for layer in {model.get_input_embeddings(), model.get_output_embeddings()}:
        with torch.no_grad():
            layer.weight[before:] = layer.weight[:before].mean(dim=0)


def _vocabulary_layers(model: Any) -> list[str]:
    """Names of the embedding and the head; both are named where they are one, for PEFT ties them by the head's name."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [name.rpartition(".")[2] for name, module in model.named_modules() if module in layers]


def _is_tied(model: Any) -> bool:
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def adapter_for(model: Any, parameters: TrainingParameters, has_new_tokens: bool = False) -> Any:
    """The adapter that is trained, on every linear layer but the head; None where the weights are. With new tokens the
    embedding and the head are trained too, whole.

    PEFT finds the layers, Conv1D and fused ones too; the fused experts of a mixture it takes as parameters, which know
    no dropout.
    """
    if parameters.adapter == "full":
        return None
    layers = _vocabulary_layers(model) if has_new_tokens else None
    chosen: dict[str, Any] = {
        "r": parameters.rank,
        "lora_alpha": parameters.lora_alpha,
        "lora_dropout": 0.0 if is_mixture(model) else parameters.lora_dropout,
        "target_modules": "all-linear",
        "exclude_modules": _without_direction(model) if parameters.adapter == "dora" else None,
        "use_rslora": parameters.adapter == "rslora",
        "use_dora": parameters.adapter == "dora",
        "modules_to_save": layers,
        "ensure_weight_tying": has_new_tokens and _is_tied(model),
        "task_type": "CAUSAL_LM",
    }
    return configured(LoraConfig, parameters, chosen | of_adapter(parameters))


def is_mixture(model: Any) -> bool:
    """Whether it is a mixture of experts, whose weights are one tensor of three dimensions."""
    return any(
        parameter.ndim == 3 and "expert" in name for name, parameter in model.named_parameters()
    )


def _without_direction(model: Any) -> list[str] | None:
    """Layers with a row of zeros: DoRA divides by its length."""
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D))
        and _has_empty_row(dequantize_module_weight(module), isinstance(module, Conv1D))
    ]
    return names or None


def _has_empty_row(weight: torch.Tensor, turned: bool) -> bool:
    return bool((weight.abs().amax(dim=0 if turned else 1) == 0).any())


def without_cards(trainer: Any) -> None:
    """Let a trainer of TRL, and the adapter that it trains, write no README beside each checkpoint: nobody reads it
    there, and in a small training it takes as long as the weights.
    """
    trainer.create_model_card = _write_none
    if isinstance(trainer.model, PeftModel):
        trainer.model.create_or_update_model_card = _write_none  # type: ignore[method-assign]


def _write_none(*_: object, **__: object) -> None:
    pass
