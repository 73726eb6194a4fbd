"""Figures of a base model, read from its config.json and from the headers of its weights, which are not loaded."""

import json
import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune.job import tried
from finetune.job.stage import StageFailed

BYTES_OF_DTYPE = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I8": 1, "U8": 1}
NOT_LINEAR = ("embed", "lm_head", "wte", "wpe")


@dataclass(frozen=True, slots=True)
class Base:
    """What the formula asks of a base.

    `linear` counts the parameters of its linear layers, `active` those of them that one token passes (fewer where
    experts are chosen), `lora_per_rank` what an adapter has for each rank. `wide` is the width of the feed-forward
    layer, `largest_tensor` the most values of one. A base that `is_tried` was shown to work, and is not tried again.
    """

    parameters: int
    linear: int
    lora_per_rank: int
    layers: int
    hidden: int
    vocabulary: int
    bytes: int
    active: int = 0
    wide: int = 0
    heads: int = 1
    largest_tensor: int = 0
    is_tried: bool = False

    @property
    def embedded(self) -> int:
        """Parameters beside the linear layers: embedding, head and norms."""
        return self.parameters - self.linear


def safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """The bytes of a file's header, and what it says of each tensor by name."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, path.stat().st_size)))
    return length, {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def _headers(folder: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            tensors |= safetensors_header(path)[1]
        except (OSError, ValueError, struct.error) as error:
            raise StageFailed("Base model damaged", f"{path.name}: {error}") from error
    if not tensors:
        raise StageFailed(
            "Base model unusable", f"{folder.name} holds no safetensors weights. Fetch them."
        )
    return tensors


def read_base(folder: Path) -> Base:
    """Measure a base model without loading it. Raises `StageFailed`."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        measured = _measured(config.get("text_config", config), _headers(folder))
        return replace(measured, is_tried=_is_tried(folder))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StageFailed(
            "Base model damaged",
            f"config.json or a header of the weights holds what it should not: {error!r}. Fetch it again.",
        ) from error


def _is_tried(folder: Path) -> bool:
    try:
        return tried.known(folder)
    except StageFailed:  # the job says why
        return True


def _measured(config: dict[str, Any], tensors: dict[str, Any]) -> Base:
    parameters = linear = experts = lora = size = largest = 0
    for name, tensor in tensors.items():
        count = math.prod(tensor["shape"])
        parameters += count
        size += count * BYTES_OF_DTYPE.get(tensor["dtype"], 4)
        largest = max(largest, count)
        if len(tensor["shape"]) >= 2 and not any(part in name for part in NOT_LINEAR):
            linear += count
            lora += sum(tensor["shape"][-2:]) * math.prod(tensor["shape"][:-2])
            experts += count if "expert" in name and "shared" not in name else 0
    hidden = _figure(config, 4096, "hidden_size", "n_embd", "d_model")
    return Base(
        parameters=parameters,
        linear=linear,
        lora_per_rank=lora,
        layers=_figure(config, 32, "num_hidden_layers", "n_layer"),
        hidden=hidden,
        vocabulary=_figure(config, 32000, "vocab_size"),
        bytes=size,
        active=linear - experts + int(experts * _share_of_experts(config)),
        wide=_figure(config, 4 * hidden, "intermediate_size", "n_inner"),
        heads=_figure(config, max(1, hidden // 64), "num_attention_heads", "n_head"),
        largest_tensor=largest,
    )


def _figure(config: dict[str, Any], otherwise: int, *names: str) -> int:
    """The first of these that is there; `null`, which GPT-2's `n_inner` is, counts as not there but for a number
    that every config has.
    """
    for name in names:
        if name in config and (config[name] is not None or name in ("num_hidden_layers",)):
            return int(config[name])
    return otherwise


def _share_of_experts(config: dict[str, Any]) -> float:
    count = _figure(config, 0, "num_local_experts", "num_experts", "n_routed_experts")
    chosen = _figure(config, 0, "num_experts_per_tok")
    return chosen / count if count and chosen else 1.0
