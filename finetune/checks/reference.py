"""The model as it was trained, base and adapter side by side in PyTorch: what the exported file is held against."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase

from finetune.training import preflight


@dataclass(frozen=True, slots=True)
class Greedy:
    """Greedy tokens, the end token included, and all logits at each of them."""

    tokens: list[int]
    logits: torch.Tensor
    ended: bool

    def gap(self, place: int, other: int) -> float:
        """How much lower another token stands than the greedy one at a place."""
        return float(self.logits[place].max() - self.logits[place, other])


class Reference:
    """Base + adapter, or a model trained whole, unquantized; float32 where that fits: it decides near ties best."""

    def __init__(
        self, base: Path, adapter: Path | None, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        on_gpu = torch.cuda.is_available()
        free = torch.cuda.mem_get_info()[0] if on_gpu else preflight.available_memory()
        fits = preflight.read_base(base).parameters * 4 * 1.2 < free
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(base),
            dtype=torch.float32 if fits else torch.float16,
            device_map={"": 0} if on_gpu else "cpu",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        trained: Any = PeftModel.from_pretrained(model, str(adapter)) if adapter else model
        self._model: Any = trained.eval()
        self._ends = _end_tokens(model, tokenizer)
        self._pad = tokenizer.pad_token_id or tokenizer.eos_token_id

    def go_on(self, prompt: list[int], count: int) -> Greedy:
        """The greedy tokens after these."""
        make: Any = GenerationConfig
        config = make(
            do_sample=False,
            max_new_tokens=count,
            eos_token_id=sorted(self._ends),
            pad_token_id=self._pad,
            output_logits=True,
            return_dict_in_generate=True,
        )
        ids = torch.tensor([prompt], device=self._model.device)
        with torch.inference_mode():
            made: Any = self._model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config
            )
        tokens = made.sequences[0, len(prompt) :].tolist()
        logits = torch.stack([step[0].float().cpu() for step in made.logits])
        return Greedy(tokens, logits, tokens[-1] in self._ends)


def _end_tokens(model: Any, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    ends = {tokenizer.eos_token_id}
    configured = model.generation_config.eos_token_id
    if isinstance(configured, int):
        ends.add(configured)
    return ends | set(configured if isinstance(configured, list) else [])
