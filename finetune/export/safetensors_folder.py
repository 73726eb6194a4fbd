"""Writes tensors as a Hugging Face folder of safetensors files, holding one tensor at a time."""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from finetune.export.weights import DTYPES, Weight
from finetune.job.files import sync_file, write_atomically

SHARD_BYTES = 4 * 10**9
_ALIGNED = 8


def write(folder: Path, weights: Sequence[Weight], shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Write them, numbers in float16, in files of about so many bytes, with an index over several; what was made."""
    shards = list(_shards(weights, shard_bytes))
    names = ["model.safetensors"]
    if len(shards) > 1:
        count = len(shards)
        names = [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write_file(folder / name, shard)
    files = [folder / name for name in names]
    if len(shards) > 1:
        index = folder / "model.safetensors.index.json"
        places = {
            one.name: name for name, shard in zip(names, shards, strict=True) for one in shard
        }
        total = sum(_bytes(one) for one in weights)
        content = {"metadata": {"total_size": total}, "weight_map": places}
        write_atomically(index, json.dumps(content, indent=1))
        files.append(index)
    return files


def _write_file(path: Path, shard: Sequence[Weight]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for one in shard:
        begin, end = end, end + _bytes(one)
        header[one.name] = {
            "dtype": next(name for name, dtype in DTYPES.items() if dtype is _dtype(one)),
            "shape": list(one.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for one in shard:
            one.load().to(_dtype(one)).contiguous().numpy().tofile(file)
    sync_file(path)


def _shards(weights: Sequence[Weight], most: int) -> Iterator[list[Weight]]:
    shard: list[Weight] = []
    size = 0
    for one in weights:
        if shard and size + _bytes(one) > most:
            yield shard
            shard, size = [], 0
        shard.append(one)
        size += _bytes(one)
    yield shard


def _bytes(weight: Weight) -> int:
    count = _dtype(weight).itemsize
    for length in weight.shape:
        count *= length
    return count


def _dtype(weight: Weight) -> torch.dtype:
    return torch.float16 if weight.dtype.is_floating_point else weight.dtype
