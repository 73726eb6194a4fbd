"""What training leaves for the export, out of the checkpoint that was chosen: an adapter, or a whole model."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from finetune.training.kept import ADAPTER

INDEX = "model.safetensors.index.json"
SETTINGS = ("config.json", "generation_config.json")


def adapter(weights: Path, folder: Path) -> list[Path]:
    """`adapter/` below the folder of the stage; the files in it. It names its base without this machine's path."""
    out = _emptied(folder / "adapter")
    for name in ADAPTER:
        shutil.copyfile(weights / name, out / name)
    settings = json.loads((out / ADAPTER[0]).read_text("utf-8"))
    settings["base_model_name_or_path"] = Path(settings.get("base_model_name_or_path") or "").name
    (out / ADAPTER[0]).write_text(json.dumps(settings, indent=2), "utf-8")
    return [out / name for name in ADAPTER]


def whole_model(weights: Path, folder: Path) -> list[Path]:
    """`model/` below the folder of the stage, in the precision of the file that is made of it; the files in it."""
    out = _emptied(folder / "model")
    size = 0
    for shard in sorted(weights.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as file:
            tensors = {name: file.get_tensor(name).half() for name in file.keys()}  # noqa: SIM118
        size += sum(tensor.nbytes for tensor in tensors.values())
        save_file(tensors, out / shard.name, metadata={"format": "pt"})
    if (weights / INDEX).is_file():
        index = json.loads((weights / INDEX).read_text("utf-8"))
        index["metadata"]["total_size"] = size
        (out / INDEX).write_text(json.dumps(index, indent=1), "utf-8")
    for name in SETTINGS:
        if (weights / name).is_file():
            content: dict[str, Any] = json.loads((weights / name).read_text("utf-8"))
            content |= {"dtype": _name(torch.float16)} if "dtype" in content else {}
            (out / name).write_text(json.dumps(content, indent=1), "utf-8")
    return sorted(out.iterdir())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
