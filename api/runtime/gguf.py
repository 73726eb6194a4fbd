"""Checks and reads the header of a GGUF file before any loader sees it.

Everything the header claims (counts, sizes, offsets, alignment) must lie within the file. Weights are not read. Of
tensor types that are not known here only the size goes unchecked: new ones come with each year of llama.cpp.
"""

import math
import mmap
import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from api.errors import Unusable

MAX_ENTRIES = 65_536
MAX_TENSORS = 131_072
MAX_ARRAY_ITEMS = 8_388_608
MAX_NAME_BYTES = 65_535
MAX_CONTEXT = 2**24
MOST_ELEMENTS_A_BYTE = 64

_STRING, _ARRAY = 8, 9
# fmt: off
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}
# ggml tensor type: (elements in a block, bytes of a block)
_TENSOR_TYPES: dict[int, tuple[int, int | None]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18), 42: (64, 18),
}
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
}
# fmt: on
_POOLED = (1, 2, 3)  # mean, first token, last token
_RANKED = 4
_HEADS = {"cls.weight", "cls.output.weight"}
"""Heads that score a pair of texts; most converters do not name the pooling of a model that has one."""
PROJECTOR = "clip"
"""The architecture of every projector."""
_CONTROL = 3
_BEGUN = ("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "tekken", "chameleon")


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about its model. `title` is its name there, `markers` are the texts of its control tokens,
    `begin_token` and `end_token` those that a chat template names, `adds_begin_token` whether llama.cpp puts the
    first before a prompt, `vocabulary` how many tokens there are.
    """

    architecture: str
    context_length: int
    template: str
    quantization: str
    parameter_count: int
    embeds: bool
    size_bytes: int
    markers: frozenset[str]
    title: str = ""
    begin_token: str = ""
    end_token: str = ""
    adds_begin_token: bool = False
    reranks: bool = False
    vocabulary: int = 0

    @property
    def makes(self) -> Literal["text", "vectors", "scores"]:
        """What comes out of it."""
        if self.reranks:
            return "scores"
        return "vectors" if self.embeds else "text"


def read_header(path: Path) -> Header:
    """Read and check a header; `Unusable` says what is wrong with the file."""
    with _opened(path) as reader:
        return reader.header()


def check_projector(path: Path) -> None:
    """`Unusable` unless it is a sound GGUF file of what makes a language model see: a projector (mmproj)."""
    with _opened(path) as reader:
        metadata, _ = reader.contents()
    if metadata.get("general.architecture") != PROJECTOR:
        raise Unusable("The file of the projector (mmproj) holds a model, and no projector.")
    if metadata.get("clip.has_vision_encoder") is not True:
        raise Unusable("The projector (mmproj) is none for images.")


@contextmanager
def _opened(path: Path) -> "Iterator[_Reader]":
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            yield _Reader(data)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise _unsound(
            "it ends in the middle of its header or holds no text where text is due"
        ) from error
    except ValueError as error:
        raise _unsound("it is empty") from error


def _unsound(reason: str) -> Unusable:
    return Unusable(f"The file is no sound GGUF: {reason}. Convert or copy it again.")


class _Reader:
    """A cursor over the mapped file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0
        self._has_head = False

    def header(self) -> Header:
        """What it says of a model."""
        return self._as_header(*self.contents())

    def contents(self) -> tuple[dict[str, Any], int]:
        """All metadata but long lists, and the number of parameters."""
        if self._data[:4] != b"GGUF":
            raise _unsound("it does not begin with the letters GGUF")
        self._at = 4
        version, tensors, entries = self._number("I"), self._number("Q"), self._number("Q")
        if version not in (2, 3):
            raise _unsound(f"its version is {version}; 2 and 3 can be read")
        if tensors > MAX_TENSORS or entries > MAX_ENTRIES:
            raise _unsound(f"it claims {tensors} tensors and {entries} metadata entries")
        if not tensors:
            raise _unsound("it holds no tensors")
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._text(MAX_NAME_BYTES)
            if not key or key in metadata:
                raise _unsound(f"the metadata key {key[:80]!r} is empty or there twice")
            metadata[key] = self._value(self._number("I"), keep=key.startswith("tokenizer."))
        return metadata, self._check_tensors(tensors, metadata)

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._data, self._at)
        self._at += struct.calcsize("<" + code)
        return value

    def _bytes(self, limit: int) -> bytes:
        length = self._number("Q")
        if length > min(limit, len(self._data) - self._at):
            raise _unsound(f"a text of {length} bytes does not fit into it")
        self._at += length
        return self._data[self._at - length : self._at]

    def _text(self, limit: int) -> str:
        return self._bytes(limit).decode()

    def _value(self, kind: int, *, keep: bool) -> Any:
        if kind == _STRING:
            return self._text(len(self._data))
        if kind == _ARRAY:
            return self._array(self._number("I"), self._number("Q"), keep=keep)
        if kind not in _SCALARS:
            raise _unsound(f"a metadata value has the unknown type {kind}")
        return self._number(_SCALARS[kind])

    def _array(self, kind: int, length: int, *, keep: bool) -> Sequence[Any]:
        if length > MAX_ARRAY_ITEMS or (kind != _STRING and kind not in _SCALARS):
            raise _unsound(f"a metadata list has {length} items of type {kind}")
        if kind == _STRING:
            texts = [self._bytes(len(self._data)) for _ in range(length)]
            return texts if keep else ()
        start, size = self._at, length * struct.calcsize("<" + _SCALARS[kind])
        if size > len(self._data) - start:
            raise _unsound(f"a metadata list of {size} bytes does not fit into it")
        self._at += size
        return array(_SCALARS[kind], self._data[start : self._at]) if keep and kind == 5 else ()

    def _check_tensors(self, count: int, metadata: dict[str, Any]) -> int:
        """Check that each tensor's bytes lie where the format wants them; the number of parameters."""
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise _unsound(f"its alignment {alignment!r} is no power of two")
        parameters = expected = 0
        is_open = False
        names: set[str] = set()
        for _ in range(count):
            name, elements, size, offset = self._tensor()
            if name in names:
                raise _unsound(f"the tensor {name!r} is there twice")
            is_behind = offset >= expected and offset % alignment == 0
            if not (is_behind if is_open else offset == expected):
                raise _unsound(f"the tensor {name!r} begins at {offset}, not at {expected}")
            names.add(name)
            self._has_head |= name in _HEADS
            parameters += elements
            is_open = size is None  # it ends where the next one begins
            end = offset + (size or 1)
            expected = _padded(end, alignment)
        missing = _padded(self._at, alignment) + end - len(self._data)
        if missing > 0:
            raise _unsound(f"{missing} bytes are missing at its end")
        return parameters

    def _tensor(self) -> tuple[str, int, int | None, int]:
        """Name, elements, bytes and place of the next one; a type of tomorrow takes nobody knows how many bytes."""
        name, dimensions = self._text(63), self._number("I")
        if dimensions > 4:
            raise _unsound(f"the tensor {name!r} has {dimensions} dimensions")
        shape = [self._number("Q") for _ in range(dimensions)]
        kind, offset = self._number("I"), self._number("Q")
        block, block_bytes = _TENSOR_TYPES.get(kind, (1, None))
        elements = math.prod(shape)
        too_many = block_bytes is None and elements > MOST_ELEMENTS_A_BYTE * len(self._data)
        if not shape or elements == 0 or shape[0] % block or too_many:
            raise _unsound(f"the tensor {name!r} has the shape {shape}")
        return name, elements, block_bytes and elements // block * block_bytes, offset

    def _as_header(self, metadata: dict[str, Any], parameters: int) -> Header:
        architecture = metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise _unsound("it does not name its architecture")
        if architecture == PROJECTOR:
            raise Unusable(
                "The file is a projector (mmproj), and no model: load it beside its model, with --mmproj."
            )
        context = metadata.get(f"{architecture}.context_length")
        if not isinstance(context, int) or not 0 < context <= MAX_CONTEXT:
            raise _unsound(f"its context length is {context!r}")
        template = metadata.get("tokenizer.chat_template", "")
        pooling = metadata.get(f"{architecture}.pooling_type", 0)
        title = metadata.get("general.name", "")
        return Header(
            architecture=architecture,
            context_length=context,
            template=template if isinstance(template, str) else "",
            quantization=_FILE_TYPES.get(metadata.get("general.file_type", -1), ""),
            parameter_count=parameters,
            embeds=pooling in _POOLED,
            size_bytes=len(self._data),
            markers=_markers(metadata),
            title=title if isinstance(title, str) else "",
            begin_token=_token(metadata, "bos"),
            end_token=_token(metadata, "eos"),
            adds_begin_token=_adds_begin_token(metadata),
            reranks=pooling == _RANKED or (pooling == 0 and self._has_head),
            vocabulary=len(metadata.get("tokenizer.ggml.tokens", ())),
        )


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _markers(metadata: dict[str, Any]) -> frozenset[str]:
    tokens = metadata.get("tokenizer.ggml.tokens", ())
    kinds = metadata.get("tokenizer.ggml.token_type", ())
    if isinstance(tokens, list) and isinstance(kinds, array) and len(tokens) == len(kinds):
        special = (t for t, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL)
        return frozenset(t.decode(errors="replace") for t in special if t)
    return frozenset()


def _token(metadata: dict[str, Any], kind: str) -> str:
    tokens = metadata.get("tokenizer.ggml.tokens", ())
    number = metadata.get(f"tokenizer.ggml.{kind}_token_id")
    if isinstance(tokens, list) and isinstance(number, int) and 0 <= number < len(tokens):
        return str(tokens[number].decode(errors="replace"))
    return ""


def _adds_begin_token(metadata: dict[str, Any]) -> bool:
    """What the file says; else what llama.cpp takes its kind of vocabulary to want."""
    said = metadata.get("tokenizer.ggml.add_bos_token")
    if isinstance(said, bool):
        return said
    kind, cut = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    return kind in ("llama", "bert") or (kind == "gpt2" and cut in _BEGUN)
