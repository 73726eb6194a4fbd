"""The first layers of a large base as a small one of the same form, so that a trial takes minutes and little memory."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from finetune.bases.folder import INDEX, SINGLE
from finetune.job.files import read_json
from finetune.preflight.base import read_base
from finetune.preflight.formula import LIBRARIES

SMALL = 256 * 2**20
"""Bytes of weights that are tried whole."""
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def cut_down(folder: Path, into: Path) -> Path:
    """The folder itself when it is small; else its small files and first layers, written into an empty folder."""
    if read_base(folder).bytes <= SMALL:
        return folder
    config = json.loads((folder / "config.json").read_text("utf-8"))
    kept = _layers_kept(config.get("text_config", config))
    for path in folder.iterdir():
        if path.is_file() and not path.name.endswith(".safetensors") and path.name != INDEX:
            shutil.copyfile(path, into / path.name)
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            _shorten(part, kept)
    (into / "config.json").write_text(json.dumps(config), "utf-8")
    tensors = {}
    for shard in sorted(folder.glob("model*.safetensors")):
        with safe_open(shard, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118  no mapping
                layer = _LAYER.search(name)
                if layer is None or int(layer[1]) < kept:
                    tensors[name] = weights.get_tensor(name).contiguous()
    save_file(tensors, into / SINGLE, metadata={"format": "pt"})
    return into


def memory_needed(folder: Path) -> int:
    """Bytes of memory that trying a base takes, about: its first layers trained in 32 bits, and their file."""
    base = read_base(folder)
    config = read_json(folder / "config.json") or {}
    share = 1.0
    if base.bytes > SMALL:
        share = min(1.0, _layers_kept(config.get("text_config", config)) / max(1, base.layers))
    layered = base.linear * share
    return int((layered + base.parameters - base.linear) * 6) + LIBRARIES


def _layers_kept(config: dict[str, Any]) -> int:
    """So many that every kind of layer is among them; llama.cpp counts some kinds by their place."""
    kinds = config.get("layer_types")
    first_of_each = [kinds.index(kind) + 1 for kind in set(kinds)] if kinds else []
    period = int(config.get("sliding_window_pattern") or 0)
    dense = int(config.get("first_k_dense_replace") or 0) + 1
    period = 6 if str(config.get("model_type")).startswith("gemma3") else period
    return int(max([2, period, dense, *first_of_each]))


def _shorten(config: dict[str, Any], kept: int) -> None:
    """Fewer layers, and lists that have an entry a layer as short."""
    before = next((config[name] for name in _COUNTS if isinstance(config.get(name), int)), 0)
    for name, value in config.items():
        if name in _COUNTS and isinstance(value, int):
            config[name] = min(value, kept)
        elif isinstance(value, list) and before > kept and len(value) == before:
            config[name] = value[:kept]
