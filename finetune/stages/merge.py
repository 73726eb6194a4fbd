"""Stage `merge`: base + adapter become one Hugging Face folder in float16, the precision of the GGUF made of it.

The base is loaded again unquantized: merged into four bits, nothing could read it (llama.cpp's converter refuses
bitsandbytes weights). Adding in bfloat16 would round ten times as coarsely, enough to change greedy answers.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.locks import write_atomically
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.tokenizer import load_tokenizer
from finetune.training import preflight


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, base: Path, folder: Path) -> None:
    """Write the tokenizer so that llama.cpp's converter finds all of it.

    transformers 5 writes neither `tokenizer.model` nor `added_tokens_decoder`; without them SentencePiece scores and
    added tokens are lost in silence. Both lines can go when it writes them again.
    """
    tokenizer.save_pretrained(str(folder))
    sentencepiece = base / "tokenizer.model"
    if sentencepiece.is_file():
        shutil.copyfile(sentencepiece, folder / sentencepiece.name)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config["added_tokens_decoder"] = {
        str(number): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for number, token in tokenizer.added_tokens_decoder.items()
    }
    write_atomically(path, json.dumps(config, indent=2, ensure_ascii=False))


def merge(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """train/adapter/ -> merge/."""
    adapter = stage.needs(job, "train", "adapter/adapter_model.safetensors") / "adapter"
    base = stage.base_folder(job, spec)
    size = preflight.read_base(base).bytes
    preflight.require_memory(2 * size, "Merging")
    preflight.require_disk(job.path, size)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(base),
        dtype=torch.float16,
        device_map="cpu",
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    model = PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False)
    try:
        with torch.inference_mode():
            merged = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise StageFailed(
            "The adapter is broken",
            f"{error}. Training went astray; use a lower learning_rate.",
        ) from error
    merged.save_pretrained(str(folder.path))
    save_tokenizer(load_tokenizer(base), base, folder.path)
    folder.mark_done(sorted(path for path in folder.path.iterdir() if _belongs(path)))


def _belongs(path: Path) -> bool:
    return path.is_file() and path.name != "done.json" and not path.name.startswith(".")


if __name__ == "__main__":
    sys.exit(stage.main("merge", merge))
