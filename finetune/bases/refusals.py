"""Bases that cannot be fine-tuned and published, told from their small files alone, with what to take instead.

Standard library only; the api imports it.
"""

from pathlib import Path
from typing import Any

from finetune.job.files import read_json
from finetune.job.stage import StageFailed

INSTEAD = (
    "Take a base of another family: Llama, Mistral, Qwen, Gemma, Phi, SmolLM, OLMo 2, StarCoder 2 or GPT-2 "
    "(docs/base-models.md)."
)
TITLE = "Cannot be fine-tuned"
_NOT_IN_LLAMA_CPP = {"opt": "OPT", "gpt_neo": "GPT-Neo", "gptj": "GPT-J", "xglm": "XGLM"}


def refuse(folder: Path, name: str) -> None:
    """Raises `StageFailed` for what no trial is needed to tell of the base of this name."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        return  # `folder.check` says more
    kind = str(config.get("model_type"))
    if (method := _quantized(folder, config)) is not None:
        raise cannot(
            f"{name} is quantized ({method}), and training starts from the weights themselves. Take the "
            "model that it was made from. To chat alone, take a GGUF file of it (ORGANISATION/MODEL:FILE.gguf)."
        )
    if config.get("is_encoder_decoder"):
        raise cannot(
            f"{name} ({kind}) is an encoder with a decoder; what is trained and served here are decoders. "
            f"{INSTEAD}"
        )
    if kind in _NOT_IN_LLAMA_CPP:
        raise cannot(f"llama.cpp has no {_NOT_IN_LLAMA_CPP[kind]}. {INSTEAD}")
    named = config.get("architectures")
    if isinstance(named, list) and named and not speaks(config):
        raise cannot(f"{name} makes no text ({named[0]} in its config.json). {INSTEAD}")


def speaks(config: dict[str, Any]) -> bool:
    """Whether the architecture in a config.json makes text."""
    named = config.get("architectures")
    ends = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
    return isinstance(named, list) and str(named[0] if named else "").endswith(ends)


def cannot(why: str) -> StageFailed:
    """The error of a base that cannot be fine-tuned."""
    return StageFailed(TITLE, why)


def _quantized(folder: Path, config: dict[str, Any]) -> str | None:
    """By which method; None for plain weights."""
    how = config.get("quantization_config")
    if isinstance(how, dict):
        return str(how.get("quant_method") or "in an unnamed way")
    return "gptq" if (folder / "quantize_config.json").is_file() else None
