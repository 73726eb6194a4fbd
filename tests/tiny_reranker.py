"""A reranker of a few kilobytes: a BERT of one layer with random weights and a head that gives one score a pair.

Written by a process of its own: the converter of other tests brings a `gguf` with it, and only one can be imported.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gguf

WORDS = ("warranty", "heater", "lamp", "parking", "months", "the", "of", "is", "what", "a", "cheap")
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WIDTH, CONTEXT = 32, 64


def write_reranker(path: Path, *, names_pooling: bool = True) -> Path:
    """A GGUF file that pools by rank, whether it says so or not."""
    told = "named" if names_pooling else "unnamed"
    subprocess.run([sys.executable, "-m", "tests.tiny_reranker", str(path), told], check=True)
    return path


def _write(path: Path, *, names_pooling: bool) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny reranker")
    writer.add_block_count(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if names_pooling:
        writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(["relevance"])
    writer.add_token_type_count(2)
    _add_words(writer)
    draw = np.random.default_rng(7)
    for name, shape in _shapes(len(MARKS) + len(WORDS)).items():
        weights = draw.normal(0, 0.5, shape)
        if re.search(r"norm.*\.weight$", name):
            weights = np.ones(shape)
        writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_words(writer: gguf.GGUFWriter) -> None:
    import gguf

    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list([*MARKS, *(f"\u2581{word}" for word in WORDS)])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control] * len(MARKS) + [normal] * len(WORDS))
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)


def _shapes(words: int) -> dict[str, tuple[int, ...]]:
    square = [f"blk.0.attn_{part}" for part in ("q", "k", "v", "output")]
    norms = ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm")
    return {
        "token_embd.weight": (words, WIDTH),
        "position_embd.weight": (CONTEXT, WIDTH),
        "token_types.weight": (2, WIDTH),
        **{f"{name}.weight": (WIDTH, WIDTH) for name in square},
        **{f"{name}.bias": (WIDTH,) for name in square},
        "blk.0.ffn_up.weight": (2 * WIDTH, WIDTH),
        "blk.0.ffn_up.bias": (2 * WIDTH,),
        "blk.0.ffn_down.weight": (WIDTH, 2 * WIDTH),
        "blk.0.ffn_down.bias": (WIDTH,),
        **{f"{name}.{part}": (WIDTH,) for name in norms for part in ("weight", "bias")},
        "cls.weight": (WIDTH, WIDTH),
        "cls.bias": (WIDTH,),
        "cls.output.weight": (1, WIDTH),
        "cls.output.bias": (1,),
    }


if __name__ == "__main__":
    _write(Path(sys.argv[1]), names_pooling=sys.argv[2] == "named")
