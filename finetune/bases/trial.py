"""Tries a base: converted, loaded, held against transformers, and trained for a step, by its first layers alone.

python -m finetune.bases.trial FOLDER NAME WORK
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from finetune.bases import refusals
from finetune.bases.alike import Spoken, read_alike, text_config
from finetune.bases.cut_down import cut_down, memory_needed
from finetune.bases.trying import RESULT
from finetune.checks.comparing import Figures
from finetune.checks.samples import CONVERSATIONS
from finetune.job.files import write_atomically
from finetune.job.spec import TrainingParameters
from finetune.job.stage import EXIT_FAILED, StageFailed
from finetune.preflight.room import require_memory
from finetune.stages.convert import to_gguf
from finetune.tokenizer import load_tokenizer, prompt_ids
from finetune.training.adapter import adapter_for, load_base


def try_base(folder: Path, name: str, work: Path) -> Figures | None:
    """How far the file of its first layers is from them, where that tells anything.

    Raises `StageFailed` with the title of a refusal when the base cannot be fine-tuned and published.
    """
    refusals.refuse(folder, name)
    _require_known(folder, name)
    require_memory(memory_needed(folder), f"Trying {name}")
    try:
        small = work / "small"
        small.mkdir()
        small = cut_down(folder, small)
        tokenizer = load_tokenizer(folder)
        gguf = work / "trial.gguf"
        to_gguf(small, gguf, "f16", name)
        answers = read_alike(tokenizer, folder, gguf)
        alone = small == folder or _computes_alone(small)
        found = Spoken(tokenizer, small, answers).require_exact(gguf) if alone else None
        train_a_step(tokenizer, small)
    except StageFailed as error:
        raise refusals.cannot(
            f"{error.title}. {error.detail.rstrip('.')}. {refusals.INSTEAD}"
        ) from error
    return found


def _require_known(folder: Path, name: str) -> None:
    """transformers knows the type and trains it as a decoder."""
    try:
        config: Any = AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise refusals.cannot(
            f"transformers does not know {name}: {str(error).splitlines()[0]} {refusals.INSTEAD}"
        ) from error
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise refusals.cannot(
            f"transformers does not train a {config.model_type} to go on with a text. {refusals.INSTEAD}"
        )


def _computes_alone(folder: Path) -> bool:
    """Whether its first layers compute alike alone: llama.cpp tells Gemma 27B's scale by the number of its layers."""
    config = text_config(folder)
    return config.get("query_pre_attn_scalar") in (None, config.get("head_dim"))


def train_a_step(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """The adapter of the default parameters learns from a few tokens. Raises `StageFailed`."""
    parameters = TrainingParameters()
    try:
        model = load_base(folder, parameters)
        model.add_adapter(adapter_for(model, parameters))
        model.train()
        tokens = torch.tensor([prompt_ids(tokenizer, CONVERSATIONS[0])[:32]], device=model.device)
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise StageFailed("No training", f"{type(error).__name__}: {error}") from error
    steps = [weight.grad for weight in model.parameters() if weight.grad is not None]
    if not (torch.isfinite(loss) and any(bool(step.abs().max() > 0) for step in steps)):
        raise StageFailed("No training", "Its loss teaches the adapter nothing.")


def main(folder: Path, name: str, work: Path) -> int:
    """Try; why not stands in WORK."""
    try:
        try_base(folder, name, work)
    except StageFailed as error:
        why = {"title": error.title, "detail": error.detail}
        write_atomically(work / RESULT, json.dumps(why))
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
