"""The tensors of a Hugging Face folder, each read from its safetensors file when it is asked for and not before.

Read, not mapped: what is read is given back with the tensor, so that memory holds one tensor and not the model.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from finetune.job.stage import StageFailed
from finetune.preflight.base import safetensors_header

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LARGE = 2**24
"""Elements from which on a tensor is handed over in float16: no tensor so large stands in the file in float32."""
PART_ELEMENTS = 2**20
BEYOND = 65520.0
"""The least number that float16 rounds to infinity."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor by name, made when it is loaded."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    load: Callable[[], torch.Tensor]


class Change(Protocol):
    """What an adapter does to a tensor."""

    in_parts: ClassVar[bool]
    """Whether some rows can be changed without the others."""

    def apply(self, part: torch.Tensor, first: int) -> None:
        """Change these rows, in float32 and in place; `first` is the number of the first of them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a safetensors file."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    path: Path
    begin: int

    def rows(self, first: int, last: int) -> torch.Tensor:
        """The rows from `first` to before `last`."""
        width = 1
        for length in self.shape[1:]:
            width *= length
        size = self.dtype.itemsize * width
        raw = np.fromfile(
            self.path, np.uint8, (last - first) * size, offset=self.begin + first * size
        )
        return torch.from_numpy(raw).view(self.dtype).reshape(last - first, *self.shape[1:])

    def whole(self) -> torch.Tensor:
        """All of it."""
        if not self.shape:
            raw = np.fromfile(self.path, np.uint8, self.dtype.itemsize, offset=self.begin)
            return torch.from_numpy(raw).view(self.dtype).reshape(())
        return self.rows(0, self.shape[0])

    def halved(self, change: Change | None = None, rows: int | None = None) -> torch.Tensor:
        """In float16, changed in float32 before and rounded once; further `rows` begin as zeros.

        Raises `StageFailed` for what float16 cannot hold.
        """
        there = self.shape[0]
        total = there if rows is None else rows
        half = torch.empty((total, *self.shape[1:]), dtype=torch.float16)
        width = half.numel() // max(1, total)
        in_parts = change is None or change.in_parts
        with _one_thread() if in_parts else contextlib.nullcontext():
            for first, last in _parts(total, width if in_parts else 0):
                part = self._begun(first, last)
                if change is not None:
                    change.apply(part, first)
                low, high = part.aminmax()
                if not (low > -BEYOND and high < BEYOND):  # neither holds of what is no number
                    raise StageFailed("The merge left float16", _why(self.name, change is not None))
                half[first:last] = part
        return half

    def _begun(self, first: int, last: int) -> torch.Tensor:
        """These rows in float32; beyond the last that is stored they are zeros."""
        there = self.shape[0]
        if last <= there:
            return self.rows(first, last).float()
        part = torch.zeros((last - first, *self.shape[1:]), dtype=torch.float32)
        if first < there:
            part[: there - first] = self.rows(first, there)
        return part

    def weight(self) -> Weight:
        """As it is; in float16 when it is large, which is what becomes of it anyway."""
        count = 1
        for length in self.shape:
            count *= length
        if count >= LARGE and self.dtype.is_floating_point and len(self.shape) > 1:
            return Weight(self.name, self.shape, torch.float16, self.halved)
        return Weight(self.name, self.shape, self.dtype, self.whole)


def stored_in(folder: Path) -> list[Stored]:
    """All tensors of a folder's safetensors files by name. Raises `StageFailed`."""
    found: dict[str, Stored] = {}
    for path in sorted(folder.glob("*.safetensors")):
        length, header = safetensors_header(path)
        for name, entry in header.items():
            found[name] = _stored(name, entry, path, 8 + length)
    return [found[name] for name in sorted(found)]


def _stored(name: str, entry: dict[str, Any], path: Path, data: int) -> Stored:
    dtype = DTYPES.get(entry["dtype"])
    if dtype is None:
        raise StageFailed(
            "Unknown type of weights",
            f"{name} in {path.name} is of type {entry['dtype']}. Take the unquantized model.",
        )
    return Stored(name, tuple(entry["shape"]), dtype, path, data + entry["data_offsets"][0])


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Parts are small: threads would wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _parts(rows: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, PART_ELEMENTS // width) if width else max(1, rows)
    for first in range(0, rows, step):
        yield first, min(rows, first + step)


def _why(name: str, is_changed: bool) -> str:
    if is_changed:
        return (
            f"{name} holds no number, or one beyond 65,504, once the adapter is added: training went astray. "
            "Use a lower learning_rate."
        )
    return f"{name} holds no number, or one beyond 65,504, which a GGUF in F16 cannot hold."
