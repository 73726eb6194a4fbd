"""An adapter from elsewhere, looked at before anything runs: settings, names and shapes against its base. No torch."""

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.preflight.base import safetensors_header

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin an adapter that also change the base's weights, which its files do not hold."""
_LORA = re.compile(r"(.+)\.lora_(A|B|embedding_A|embedding_B|magnitude_vector)(?:\.weight)?")
_OF_THE_WHOLE = re.compile(r"^(base_model\.|model\.|transformer\.|language_model\.)+")
MOST_HEADER_BYTES = 100 * 2**20


class AdapterUnusable(Exception):
    """What is wrong with it, where, and what to do."""


def settings_of(path: Path) -> dict[str, Any]:
    """`adapter_config.json`, when it is that of a LoRA whose files hold all of it. Raises `AdapterUnusable`."""
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterUnusable(f"{CONFIG} is no JSON: {error}.") from error
    if not isinstance(settings, dict) or "peft_type" not in settings:
        raise AdapterUnusable(f"{CONFIG} is not what PEFT writes: it names no peft_type.")
    kind, begun = settings["peft_type"], str(settings.get("init_lora_weights", True)).lower()
    if kind != "LORA":
        raise AdapterUnusable(f"It is of type {str(kind)[:40]}; LoRA can be merged.")
    if begun.startswith(CHANGES_BASE):
        raise AdapterUnusable(
            f"It began with init_lora_weights={begun[:40]!r}, which changes the base too. Save it as a LoRA of the "
            "unchanged base (PEFT: path_initial_model_for_weight_conversion)."
        )
    if settings.get("bias", "none") != "none" or settings.get("lora_bias"):
        raise AdapterUnusable("It trains biases; only matrices can be merged.")
    rank = settings.get("r")
    if not isinstance(rank, int) or rank < 1:
        raise AdapterUnusable(f"{CONFIG}: r is {rank!r}, and must be a whole number from 1.")
    return settings


def tensors_of(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file that is as long as it says. Raises `AdapterUnusable`."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
        if length > min(size, MOST_HEADER_BYTES):
            raise ValueError("its header is longer than it")
        _, header = safetensors_header(path)
        end = max((one["data_offsets"][1] for one in header.values()), default=0)
        shapes = {name: tuple(map(int, one["shape"])) for name, one in header.items()}
        if 8 + length + end != size:
            raise ValueError("it is not as long as its header says")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise AdapterUnusable(f"{WEIGHTS} is no whole safetensors file: {error}.") from error
    if not shapes:
        raise AdapterUnusable(f"{WEIGHTS} holds no tensors.")
    return shapes


def is_whole_file(path: Path) -> bool:
    """Whether it is a safetensors file as long as its header says."""
    try:
        return bool(tensors_of(path))
    except AdapterUnusable:
        return False


def require_fitting(tensors: Mapping[str, tuple[int, ...]], base: Path) -> None:
    """Every pair of matrices belongs to a layer of the base and has its shape. Raises `AdapterUnusable`.

    The stacked experts of a mixture are left to the merge, which knows how the model names them.
    """
    there = {_short(name): shape for name, shape in _base_tensors(base).items()}
    _require_no_tokens(tensors, there)
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in tensors.items():
        if found := _LORA.fullmatch(name):
            layers.setdefault(found[1], {})[found[2].removeprefix("embedding_")] = shape
    if not layers:
        raise AdapterUnusable(f"{WEIGHTS} holds no lora_A and lora_B.")
    for layer, parts in layers.items():
        if not {"A", "B"} <= set(parts):
            raise AdapterUnusable(f"{layer} has no pair of lora_A and lora_B.")
        if "experts" in layer:
            continue
        if f"{_short(layer)}.weight" not in there:
            raise AdapterUnusable(
                f"The base has no layer {_short(layer)}. Name the base it was trained on."
            )
        shape = there[f"{_short(layer)}.weight"]
        down, up = parts["A"], parts["B"]
        if len(down) != 2 or len(up) != 2 or down[0] != up[1]:
            raise AdapterUnusable(f"{layer}: lora_A is {down} and lora_B {up}, which is no pair.")
        if {(up[0], down[1]), (down[1], up[0])}.isdisjoint({shape}):
            raise AdapterUnusable(
                f"{_short(layer)} is {shape[0]} by {math.prod(shape[1:])} in the base, and {up[0]} by {down[1]} in "
                "the adapter. Name the base it was trained on."
            )


def _require_no_tokens(
    tensors: Mapping[str, tuple[int, ...]], there: Mapping[str, tuple[int, ...]]
) -> None:
    for name, shape in tensors.items():
        plain = _short(name).replace(".modules_to_save.", ".").replace(".base_layer.", ".")
        known = there.get(plain)
        if known is not None and len(known) == 2 and shape != known:
            raise AdapterUnusable(
                f"{plain} has {known[0]} rows in the base and {shape[0]} in the adapter: it brings tokens of its own. "
                "Such are trained here, with chat_template=chatml."
            )


def form_of(settings: Mapping[str, Any]) -> str:
    """What `adapter` calls it."""
    if settings.get("use_dora"):
        return "dora"
    return "rslora" if settings.get("use_rslora") else "lora"


def _short(name: str) -> str:
    return _OF_THE_WHOLE.sub("", name)


def _base_tensors(base: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(base.glob("*.safetensors")):
        _, header = safetensors_header(path)
        found |= {name: tuple(one["shape"]) for name, one in header.items()}
    if "lm_head.weight" not in found:  # tied
        for name, shape in list(found.items()):
            if name.endswith("embed_tokens.weight"):
                found["lm_head.weight"] = shape
    return found
