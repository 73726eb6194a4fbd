"""A GGUF header is read when it is sound and refused, with a reason, when it is not."""

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from api.errors import Unusable
from api.runtime.gguf import read_header


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: list[int], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = b"".join(struct.pack("<Q", size) for size in shape)
    return (
        text(name) + struct.pack("<I", len(shape)) + dimensions + struct.pack("<IQ", kind, offset)
    )


METADATA = [
    entry("general.architecture", 8, text("llama")),
    entry("llama.context_length", 4, struct.pack("<I", 512)),
    entry("tokenizer.chat_template", 8, text("{{ messages[0].content }}")),
]


def gguf(
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    metadata: list[bytes] = METADATA,
    tensors: list[bytes] | None = None,
    counts: tuple[int, int] | None = None,
    data: bytes = bytes(64),
) -> bytes:
    """A small sound file, unless a part is given."""
    tensors = [tensor("a", [16])] if tensors is None else tensors
    counts = counts or (len(tensors), len(metadata))
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(metadata + tensors)
    return head + bytes(-len(head) % 32) + data


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


def test_a_sound_header_is_read(written: Callable[[bytes], Path]) -> None:
    header = read_header(written(gguf()))
    assert header.architecture == "llama"
    assert header.context_length == 512
    assert header.template == "{{ messages[0].content }}"
    assert header.parameter_count == 16
    assert not header.embeds


def test_tensor_types_that_nobody_knows_yet_are_taken_at_their_word(
    written: Callable[[bytes], Path],
) -> None:
    tensors = [
        tensor("a", [16]),
        tensor("b", [64], kind=999, offset=64),
        tensor("c", [64], kind=998, offset=96),
        tensor("d", [16], offset=192),
    ]
    header = read_header(written(gguf(tensors=tensors, data=bytes(256))))
    assert header.parameter_count == 16 + 64 + 64 + 16


def test_real_models_are_told_apart(demo_gguf: Path, embedding_gguf: Path) -> None:
    demo, embedder = read_header(demo_gguf), read_header(embedding_gguf)
    assert (demo.embeds, embedder.embeds) == (False, True)
    assert demo.quantization == embedder.quantization == "F16"
    assert "<|im_end|>" in demo.markers
    assert embedder.context_length == 512


HUGE = 2**63
UNSOUND = {
    "empty": b"",
    "random": random.Random(1).randbytes(4096),
    "zeros": bytes(4096),
    "only_the_magic": b"GGUF",
    "another_magic": gguf(magic=b"GGML"),
    "version_1": gguf(version=1),
    "version_of_another_byte_order": gguf(version=0x03000000),
    "huge_counts": gguf(counts=(HUGE, HUGE)),
    "more_tensors_than_there_are": gguf(counts=(3, 3)),
    "no_tensors": gguf(tensors=[], data=b""),
    "huge_text": gguf(metadata=[text("k") + struct.pack("<IQ", 8, HUGE)]),
    "huge_key": gguf(metadata=[struct.pack("<Q", HUGE)]),
    "huge_array": gguf(metadata=[entry("k", 9, struct.pack("<IQ", 4, 2**40))]),
    "array_of_arrays": gguf(metadata=[entry("k", 9, struct.pack("<IQ", 9, 1))]),
    "unknown_value_type": gguf(metadata=[entry("k", 99, b"")]),
    "key_twice": gguf(metadata=[METADATA[0], *METADATA]),
    "text_that_is_none": gguf(metadata=[*METADATA, entry("k", 8, struct.pack("<Q", 1) + b"\xff")]),
    "no_architecture": gguf(metadata=METADATA[1:]),
    "no_context_length": gguf(metadata=METADATA[:1]),
    "alignment_of_3": gguf(
        metadata=[*METADATA, entry("general.alignment", 4, struct.pack("<I", 3))]
    ),
    "alignment_of_0": gguf(
        metadata=[*METADATA, entry("general.alignment", 4, struct.pack("<I", 0))]
    ),
    "tensor_beyond_the_end": gguf(tensors=[tensor("a", [4096])]),
    "tensor_of_huge_size": gguf(tensors=[tensor("a", [2**40, 2**40])]),
    "tensor_at_a_huge_offset": gguf(tensors=[tensor("a", [16], offset=HUGE)]),
    "tensor_twice": gguf(
        tensors=[tensor("a", [16]), tensor("a", [16], offset=64)], data=bytes(128)
    ),
    "tensors_that_overlap": gguf(tensors=[tensor("a", [16]), tensor("b", [16])]),
    "tensor_of_five_dimensions": gguf(tensors=[tensor("a", [1, 1, 1, 1, 16])]),
    "tensor_of_unknown_type_without_data": gguf(tensors=[tensor("a", [16], kind=999)], data=b""),
    "tensor_of_unknown_type_and_huge_shape": gguf(tensors=[tensor("a", [2**40], kind=999)]),
    "tensor_beyond_the_end_behind_one_of_unknown_type": gguf(
        tensors=[tensor("a", [16], kind=999), tensor("b", [16], offset=2**20)]
    ),
    "tensor_out_of_line_behind_one_of_unknown_type": gguf(
        tensors=[tensor("a", [16], kind=999), tensor("b", [4], offset=33)]
    ),
    "tensor_over_one_of_unknown_type": gguf(
        tensors=[tensor("a", [16], kind=999), tensor("b", [16], offset=0)]
    ),
    "tensor_of_half_a_block": gguf(tensors=[tensor("a", [16], kind=8)]),
    "tensor_of_nothing": gguf(tensors=[tensor("a", [0])]),
    "last_byte_missing": gguf()[:-1],
}


@pytest.mark.parametrize("kind", UNSOUND)
def test_an_unsound_file_is_refused_with_a_reason(
    kind: str, written: Callable[[bytes], Path]
) -> None:
    with pytest.raises(Unusable) as refusal:
        read_header(written(UNSOUND[kind]))
    assert "no sound GGUF" in refusal.value.detail


def test_a_file_that_is_cut_anywhere_is_refused(written: Callable[[bytes], Path]) -> None:
    whole = gguf()
    for length in range(len(whole)):
        with pytest.raises(Unusable):
            read_header(written(whole[:length]))


def test_flipped_bytes_are_read_or_refused_but_never_anything_else(
    written: Callable[[bytes], Path],
) -> None:
    whole = gguf()
    chance = random.Random(7)
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged) - 64)] = chance.randrange(256)
        with suppress(Unusable):
            read_header(written(bytes(damaged)))
