"""The tensors of a safetensors file as numpy arrays in 32 bits, without torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.preflight.base import safetensors_header

Tensor = NDArray[Any]


def tensors_of(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in 32 bits, in the order of the file."""
    length, header = safetensors_header(path)
    weights = np.memmap(path, np.uint8, "r", offset=8 + length)
    for name, about in header.items():
        begin, end = about["data_offsets"]
        raw = np.asarray(weights[begin:end])
        match about["dtype"]:
            case "BF16":  # the upper half of a float32
                tensor = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
            case "F32":
                tensor = raw.view(np.float32)
            case "F16":
                tensor = raw.view(np.float16).astype(np.float32)
            case _:
                continue
        yield name, tensor.reshape(about["shape"])
