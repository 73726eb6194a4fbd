"""A language model that sees, of half a megabyte: one layer of Llama with the demo model's tokenizer, and the projector
of a SmolVLM. Its weights are random: what it says means nothing; how many tokens an image takes, and that they matter,
does.

Written by a process of its own, as `tiny_reranker` is, with what llama.cpp's converter writes for a SmolVLM of its size
that was made with transformers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import gguf

TOKENIZER = Path(__file__).parent.parent / "examples" / "demo_model"
MODEL, PROJECTOR = "model.gguf", "projector.gguf"
WIDTH, INNER, CONTEXT = 64, 128, 512
SEEN_WIDTH, SEEN_INNER, SIDE, PATCH = 32, 64, 64, 16
AROUND_IMAGES = ("<fake_token_around_image>", "<global-img>", "\n\n")
IMAGE_TOKENS = 24
"""How much longer an image makes a prompt: its 4 patches, and the marks around them."""


def write_vision(folder: Path) -> None:
    """Both files; they are the same each time."""
    subprocess.run([sys.executable, "-m", "tests.tiny_vision", str(folder)], check=True)


def png(width: int = 64, height: int = 64, colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    """A picture of one colour."""
    rows = (b"\0" + bytes(colour) * width) * height
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(rows)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))


def _write_model(path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny vision")
    writer.add_block_count(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_key_length(WIDTH // 2)
    writer.add_value_length(WIDTH // 2)
    writer.add_rope_dimension_count(WIDTH // 2)
    words = _add_words(writer)
    writer.add_vocab_size(words)
    shapes = {
        "token_embd.weight": (words, WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ffn_norm.weight": (WIDTH,),
        **{f"blk.0.attn_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{part}.weight": (INNER, WIDTH) for part in ("up", "gate")},
        "blk.0.ffn_down.weight": (WIDTH, INNER),
    }
    _add_weights(writer, shapes)


def _write_projector(path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_vision_projection_dim(WIDTH)
    writer.add_vision_image_size(SIDE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_embedding_length(SEEN_WIDTH)
    writer.add_vision_feed_forward_length(SEEN_INNER)
    writer.add_vision_block_count(1)
    writer.add_vision_head_count(2)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_clip_projector_type("idefics3")
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_projector_scale_factor(2)
    writer.add_uint32("clip.vision.preproc_image_size", SIDE)
    writer.add_vision_use_gelu(True)
    square = [f"v.blk.0.attn_{part}" for part in ("q", "k", "v", "out")]
    norms = ("v.blk.0.ln1", "v.blk.0.ln2", "v.post_ln")
    shapes = {
        "mm.model.fc.weight": (WIDTH, 4 * SEEN_WIDTH),
        "v.patch_embd.weight": (SEEN_WIDTH, 3, PATCH, PATCH),
        "v.patch_embd.bias": (SEEN_WIDTH,),
        "v.position_embd.weight": ((SIDE // PATCH) ** 2, SEEN_WIDTH),
        **{f"{name}.weight": (SEEN_WIDTH, SEEN_WIDTH) for name in square},
        "v.blk.0.ffn_up.weight": (SEEN_INNER, SEEN_WIDTH),
        "v.blk.0.ffn_down.weight": (SEEN_WIDTH, SEEN_INNER),
        "v.blk.0.ffn_up.bias": (SEEN_INNER,),
        **{f"{name}.bias": (SEEN_WIDTH,) for name in (*square, "v.blk.0.ffn_down")},
        **{f"{name}.{part}": (SEEN_WIDTH,) for name in norms for part in ("weight", "bias")},
    }
    _add_weights(writer, shapes)


def _add_words(writer: gguf.GGUFWriter) -> int:
    """The demo model's tokens and those that stand around an image; how many there are."""
    import gguf

    said = json.loads((TOKENIZER / "tokenizer.json").read_text(encoding="utf-8"))
    words = sorted(said["model"]["vocab"], key=said["model"]["vocab"].get)
    control = {one["content"] for one in said["added_tokens"]}
    words += [mark for mark in AROUND_IMAGES if mark not in words]
    kinds = {**dict.fromkeys(control | set(AROUND_IMAGES), gguf.TokenType.CONTROL)}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types([kinds.get(word, gguf.TokenType.NORMAL) for word in words])
    pairs = said["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in pairs])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(3)
    writer.add_pad_token_id(0)
    template = (TOKENIZER / "chat_template.jinja").read_text(encoding="utf-8")
    writer.add_chat_template(template)
    return len(words)


def _add_weights(writer: gguf.GGUFWriter, shapes: dict[str, tuple[int, ...]]) -> None:
    draw = np.random.default_rng(7)
    for name, shape in shapes.items():
        weights = draw.normal(0, 0.3, shape)
        if name.endswith(("norm.weight", "ln.weight", "ln1.weight", "ln2.weight")):
            weights = np.ones(shape)
        writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    _write_model(Path(sys.argv[1], MODEL))
    _write_projector(Path(sys.argv[1], PROJECTOR))
