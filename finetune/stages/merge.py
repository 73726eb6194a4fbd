"""Stage `merge`: base + adapter become one Hugging Face folder in float16, the precision of the GGUF made of it.

The base is loaded again unquantized: merged into four bits, nothing could read it (llama.cpp's converter refuses
bitsandbytes weights). Adding in bfloat16 would round ten times as coarsely, enough to change greedy answers.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from finetune.bases import tokenizer_files
from finetune.job import stage
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.training import preflight


def merge(job: JobDirectory, spec: FineTuneSpec, folder: StageDirectory) -> None:
    """train/adapter/ or train/model/ -> merge/."""
    base = stage.base_folder(job, spec)
    if spec.adapter == "full":
        trained = stage.needs(job, "train", "model/config.json") / "model"
        preflight.require_disk(job.path, preflight.read_base(trained).bytes)
        shutil.copytree(trained, folder.path, dirs_exist_ok=True)
        tokenizer_files.copy(base, folder.path)
        folder.mark_done(sorted(path for path in folder.path.iterdir() if _belongs(path)))
        return
    adapter = stage.needs(job, "train", "adapter/adapter_model.safetensors") / "adapter"
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
    tokenizer_files.copy(base, folder.path)
    folder.mark_done(sorted(path for path in folder.path.iterdir() if _belongs(path)))


def _belongs(path: Path) -> bool:
    return path.is_file() and path.name != "done.json" and not path.name.startswith(".")


if __name__ == "__main__":
    sys.exit(stage.main("merge", merge))
