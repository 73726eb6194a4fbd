"""What training leaves for the export, out of the checkpoint that was chosen: an adapter, or a whole model."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from finetune.job.kept import ADAPTER

INDEX = "model.safetensors.index.json"
TWINS = (".original_module.", ".modules_to_save.")
SETTINGS = ("config.json", "generation_config.json")


def adapter(weights: Path, folder: Path) -> list[Path]:
    """`adapter/` below the folder of the stage; the files in it. It names its base without this machine's path."""
    out = _emptied(folder / "adapter")
    for name in ADAPTER:
        shutil.copyfile(weights / name, out / name)
    settings = json.loads((out / ADAPTER[0]).read_text("utf-8"))
    settings["base_model_name_or_path"] = Path(settings.get("base_model_name_or_path") or "").name
    (out / ADAPTER[0]).write_text(json.dumps(settings, indent=2), "utf-8")
    _drop_twins(out / "adapter_model.safetensors")
    return [out / name for name in ADAPTER]


def _drop_twins(path: Path) -> None:
    """When the vocabulary has grown PEFT saves each layer that is trained whole three times: under its name, as it is
    and as it was. The name is what everyone reads.
    """
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        once = [name for name in names if not any(part in name for part in TWINS)]
        tensors = {name: file.get_tensor(name) for name in once if len(once) < len(names)}
    if tensors:
        save_file(tensors, path, metadata={"format": "pt"})
        _name_whole_layers(path.with_name("adapter_config.json"), once)


def _name_whole_layers(path: Path, names: list[str]) -> None:
    """PEFT drops the head's name from its settings where it is tied, and knows by that name alone that it is."""
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    whole = {name.split(".")[-2] for name in names if "lora_" not in name}
    config["modules_to_save"] = sorted(whole)
    path.write_text(json.dumps(config, indent=2), "utf-8")


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
