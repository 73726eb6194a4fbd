"""Reads the header of a GGUF file and writes the file anew, as Ollama's import does."""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from tests.ollama_double.wire import Failure

_STRING, _ARRAY = 8, 9
# fmt: off
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}
# tensor type: (name, elements in a block, bytes of a block)
_TENSORS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 30: ("BF16", 1, 2),
}
FILE_TYPES = {
    1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    32: "BF16",
}
_ARCHITECTURES = {
    "bert", "cohere2", "command-r", "deepseek2", "falcon", "gemma", "gemma2", "gemma3", "gpt2", "granite",
    "jina-bert-v2", "llama", "llama4", "mistral3", "mpt", "nomic-bert", "olmo", "olmo2", "phi2", "phi3",
    "qwen2", "qwen2moe", "qwen3", "qwen3moe", "smollm3", "stablelm", "starcoder2",
}
# fmt: on


@dataclass(frozen=True)
class Entry:
    """One metadata entry: where its bytes lie, and its value."""

    key: str
    start: int
    end: int
    value: Any


@dataclass(frozen=True)
class Tensor:
    """One tensor's place and shape."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def type(self) -> str:
        """The name of its type."""
        return _TENSORS.get(self.kind, (str(self.kind),))[0]

    @property
    def size(self) -> int:
        """Its bytes."""
        _, elements, size = _TENSORS.get(self.kind, ("", 1, 0))
        return math.prod(self.shape) // elements * size


@dataclass(frozen=True)
class GGUF:
    """A header. Arrays are None unless they were asked for."""

    entries: tuple[Entry, ...]
    tensors: tuple[Tensor, ...]
    tensors_start: int
    tensors_end: int
    data_start: int

    @property
    def values(self) -> dict[str, Any]:
        """The metadata."""
        return {entry.key: entry.value for entry in self.entries}

    @property
    def architecture(self) -> str:
        """The kind of model."""
        return str(self.values.get("general.architecture", "unknown"))

    def of_model(self, key: str, default: Any = None) -> Any:
        """An entry that begins with the architecture's name."""
        return self.values.get(f"{self.architecture}.{key}", default)

    @property
    def context_length(self) -> int:
        """The longest context it was trained for."""
        return int(self.of_model("context_length", 0))

    @property
    def template(self) -> str:
        """Its Jinja chat template."""
        return str(self.values.get("tokenizer.chat_template", ""))

    @property
    def embeds(self) -> bool:
        """Whether it makes vectors and no text."""
        return f"{self.architecture}.pooling_type" in self.values

    @property
    def file_type(self) -> str:
        """How it is quantized; F32 reads as unknown."""
        return FILE_TYPES.get(self.values.get("general.file_type", -1), "unknown")

    @property
    def parameters(self) -> int:
        """The number of its weights."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)


def read(path: Path, *, arrays: bool = False) -> GGUF:
    """Read and check a header."""
    if path.stat().st_size < 4:
        raise Failure(400, "supplied file was not in GGUF format")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise Failure(400, "supplied file was not in GGUF format")
        try:
            return _Reader(data, arrays=arrays).read()
        except (struct.error, IndexError, UnicodeDecodeError) as fault:
            raise Failure(500, "unexpected EOF") from fault


def check_architecture(gguf: GGUF) -> None:
    """Refuse what llama.cpp does not know, before its weights are read."""
    if gguf.architecture not in _ARCHITECTURES:
        raise Failure(
            500,
            "failed to validate GGUF with llama-quantize without compatibility patches: "
            "llama-quantize failed: exit status 1",
        )


def rewrite(path: Path, gguf: GGUF, out: Any, texts: Mapping[str, str | None]) -> None:
    """Write a model's file anew; `texts` replaces texts of its metadata, None leaves one out."""
    kept = [entry for entry in gguf.entries if entry.key not in texts]
    added = [_key(key) + _packed(_STRING, text) for key, text in texts.items() if text is not None]
    if "general.quantization_version" not in gguf.values:
        added.append(_key("general.quantization_version") + struct.pack("<II", 4, 2))
    with path.open("rb") as file:
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(gguf.tensors), len(kept) + len(added))
        head += b"".join(_slice(file, entry.start, entry.end) for entry in kept) + b"".join(added)
        head += _slice(file, gguf.tensors_start, gguf.tensors_end)
        out.write(head + b"\0" * (-len(head) % _alignment(gguf)))
        file.seek(gguf.data_start)
        while part := file.read(2**20):
            out.write(part)


def _key(key: str) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode()


def _packed(kind: int, text: str) -> bytes:
    return struct.pack("<IQ", kind, len(text.encode())) + text.encode()


def _slice(file: IO[bytes], start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _alignment(gguf: GGUF) -> int:
    return int(gguf.values.get("general.alignment", 32)) or 32


class _Reader:
    """A cursor over the mapped file."""

    def __init__(self, data: mmap.mmap, *, arrays: bool) -> None:
        self._data = data
        self._at = 4
        self._arrays = arrays

    def read(self) -> GGUF:
        _, tensors, entries = self._number("I"), self._number("Q"), self._number("Q")
        read_entries = tuple(self._entry() for _ in range(entries))
        start = self._at
        read_tensors = tuple(self._tensor() for _ in range(tensors))
        end = self._at
        gguf = GGUF(read_entries, read_tensors, start, end, 0)
        gguf = replace(gguf, data_start=end + -end % _alignment(gguf))
        for tensor in read_tensors:
            end = gguf.data_start + tensor.offset + tensor.size
            if end > len(self._data):
                sizes = f"offset+size ({end}) exceeds file size ({len(self._data)})"
                raise Failure(500, f'tensor "{tensor.name}" {sizes}')
        return gguf

    def _entry(self) -> Entry:
        start = self._at
        key = self._text()
        return Entry(key, start, value=self._value(self._number("I")), end=self._at)

    def _tensor(self) -> Tensor:
        name, dimensions = self._text(), self._number("I")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        return Tensor(name, shape, self._number("I"), self._number("Q"))

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._data, self._at)
        self._at += struct.calcsize("<" + code)
        return value

    def _text(self) -> str:
        length = self._number("Q")
        self._at += length
        if self._at > len(self._data):
            raise IndexError
        return self._data[self._at - length : self._at].decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            return self._number(_SCALARS[kind]) if kind in _SCALARS else self._unknown(kind)
        item, length = self._number("I"), self._number("Q")
        if item == _STRING:
            texts = [self._text() for _ in range(length)]
            return texts if self._arrays else None
        size = struct.calcsize("<" + _SCALARS[item]) if item in _SCALARS else self._unknown(item)
        self._at += length * size
        if self._at > len(self._data):
            raise IndexError
        code = f"<{length}{_SCALARS[item]}"
        return (
            list(struct.unpack_from(code, self._data, self._at - length * size))
            if self._arrays
            else None
        )

    def _unknown(self, kind: int) -> Any:
        raise Failure(500, f"invalid type: {kind}")
