"""Reads what an encoder's ONNX file says of itself, before anything loads it.

Only the outermost fields of the protobuf message are looked at: where each ends must lie within the file, and the
graph is stepped over. `finetune/encoders/export.py` says what the metadata hold.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from api.errors import Unusable
from api.runtime.gguf import MAX_CONTEXT, Header

SUFFIX = ".onnx"
_FIXED_BYTES = {1: 8, 5: 4}
"""How many bytes a value takes, by the kind of its field."""
_GRAPH, _METADATA = 7, 14
"""Field numbers of `ModelProto`."""
_KEY, _VALUE = 1, 2
"""Field numbers of `StringStringEntryProto`."""
POOLING = ("mean", "cls")


def read_header(path: Path) -> Header:
    """Read and check a header; `Unusable` says what is wrong with the file."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _header(data)
    except UnicodeDecodeError as error:
        raise _unsound("it holds no text where text is due") from error
    except (ValueError, IndexError) as error:
        raise _unsound("it is empty or ends in the middle of a field") from error


def _header(data: mmap.mmap) -> Header:
    metadata, has_graph = {}, False
    for number, begin, end in _fields(data, 0, len(data)):
        has_graph |= number == _GRAPH
        if number == _METADATA:
            entry = {n: data[b:e].decode() for n, b, e in _fields(data, begin, end)}
            metadata[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    if not has_graph:
        raise _unsound("it holds no graph")
    pooling = metadata.get("pooling")
    if pooling not in POOLING or not metadata.get("tokenizer.json"):
        raise _unsound(f"its pooling is {pooling!r}, or it lacks its tokenizer")
    return Header(
        architecture=metadata.get("architecture", ""),
        context_length=_count(metadata, "context_length"),
        template="",
        quantization="INT8",
        parameter_count=_count(metadata, "parameters"),
        embeds=True,
        size_bytes=len(data),
        markers=frozenset(),
        title=metadata.get("title", ""),
    )


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and where the value begins and ends."""
    while at < end:
        tag, at = _varint(data, at)
        begin, kind = at, tag & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, begin = _varint(data, at)
            at = begin + length
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise _unsound(f"a field is of the unknown kind {kind}")
        if at > end:
            raise _unsound(f"{at - end} bytes are missing at its end")
        yield tag >> 3, begin, at


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number of at most 64 bits, seven in each byte, and where the next thing begins."""
    number = 0
    for place in range(10):
        byte = data[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise _unsound("a number has more than 64 bits")


_MOST = {"context_length": MAX_CONTEXT, "parameters": 2**40}


def _count(metadata: dict[str, str], name: str) -> int:
    said = metadata.get(name, "")
    if not (said.isascii() and said.isdecimal()) or not 0 < int(said[:20]) <= _MOST[name]:
        raise _unsound(f"its {name} is {said[:20]!r}")
    return int(said)


def _unsound(reason: str) -> Unusable:
    return Unusable(f"The file is no sound ONNX file of an encoder: {reason}. Export it again.")
