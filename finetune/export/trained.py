"""What a job has trained, ready to be written as files: its base with the adapter merged in, or its own weights."""

import json
import shutil
from pathlib import Path
from typing import Any

from finetune.bases import tokenizer_files
from finetune.export.merged import Merged, merged
from finetune.export.weights import stored_in
from finetune.job import stage
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json
from finetune.job.spec import FineTuneSpec

GENERATION = "generation_config.json"
FOLLOWED = ("vocab_size", "tie_word_embeddings")
"""What of its configuration a training may change."""


def trained(job: JobDirectory, spec: FineTuneSpec) -> Merged:
    """The tensors after training. Raises `StageFailed`."""
    base = stage.base_folder(job, spec)
    whole = job.path / "train" / "model"
    if (whole / "config.json").is_file():
        stage.needs(job, "train", "model/config.json")
        new, old = _config(whole), _config(base)
        changed = {name: new[name] for name in FOLLOWED if new.get(name) != old.get(name)}
        return Merged([one.weight() for one in stored_in(whole)], changed)
    adapter = stage.needs(job, "train", "adapter/adapter_model.safetensors") / "adapter"
    return merged(base, adapter)


def write_small_files(
    job: JobDirectory, spec: FineTuneSpec, changed: dict[str, Any], folder: Path
) -> None:
    """Configuration and tokenizer of what was trained: the base's, with what the training changed."""
    base = stage.base_folder(job, spec)
    own = job.path / "train" / "tokenizer"
    tokenizer_files.copy(base, folder)
    if own.is_dir():  # it learned tokens of its own
        for path in folder.iterdir():
            path.unlink()
        tokenizer_files.copy(own, folder)
        if (base / GENERATION).is_file():
            shutil.copyfile(base / GENERATION, folder / GENERATION)
    config = _config(base, whole=True)
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            part |= {key: value for key, value in changed.items() if part is config or key in part}
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(text, "utf-8")


def _config(folder: Path, whole: bool = False) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    config = config if isinstance(config, dict) else {}
    return config if whole else config.get("text_config", config)
