"""The bundled models become GGUF files by numpy and gguf alone, so that an installation without torch has them too.

    python -m finetune.bundled --model DIR|package:NAME --out FILE --type f16|q8_0

It knows the two kinds of network that are bundled and nothing else; every other model takes llama.cpp's own converter
(`stages/convert.py`), and a test holds the files of both to be the same, tensor by tensor.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import gguf

from finetune.bases.packaged import model_folder
from finetune.bases.tensors import Tensor, tensors_of
from finetune.bases.vocabulary import pre_tokenizer
from finetune.job.files import sync_file, sync_folder
from finetune.job.stage import EXIT_FAILED, StageFailed

FILE_TYPES = {
    "f16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
    "q8_0": (gguf.LlamaFileType.MOSTLY_Q8_0, gguf.GGMLQuantizationType.Q8_0),
}
KINDS = {"bert": gguf.MODEL_ARCH.BERT, "llama": gguf.MODEL_ARCH.LLAMA}
WHOLE = {"position_embd.weight", "token_types.weight"}
"""Matrices that stay in 32 bits, as vectors do."""
UNUSED = {"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}


def to_gguf(folder: Path, out: Path, file_type: str) -> None:
    """Write `out` whole or not at all. Raises `StageFailed`."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config["model_type"] not in KINDS:
        raise StageFailed("Not a bundled model", f"{config['model_type']!r} takes the converter.")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(folder, config, temporary, out.stem, file_type)
        sync_file(temporary)
        temporary.replace(out)
        sync_folder(out.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _write(folder: Path, config: dict[str, Any], out: Path, name: str, file_type: str) -> None:
    kind = KINDS[config["model_type"]]
    stated, matrices = FILE_TYPES[file_type]
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[kind])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_file_type(stated)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (_add_bert if config["model_type"] == "bert" else _add_llama)(writer, config, tokenizer)
    gguf.SpecialVocab(folder, load_merges="merges" in tokenizer["model"]).add_to_gguf(writer)
    names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
    for theirs, tensor in tensors_of(folder / "model.safetensors"):
        ours = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if theirs in UNUSED or ours is None:
            continue
        if kind == gguf.MODEL_ARCH.LLAMA and ours.endswith(("attn_q.weight", "attn_k.weight")):
            tensor = _rotary_pairs_side_by_side(tensor, config["num_attention_heads"])
        whole = tensor.ndim == 1 or ours in WHOLE
        form = gguf.GGMLQuantizationType.F32 if whole else matrices
        writer.add_tensor(ours, gguf.quantize(tensor, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_bert(writer: gguf.GGUFWriter, config: dict[str, Any], tokenizer: dict[str, Any]) -> None:
    """An encoder for embeddings: the mean over all tokens, cut into word pieces."""
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")  # the converter's name for plain BERT
    tokens, types = _tokens(tokenizer)
    normal = gguf.TokenType.NORMAL
    writer.add_token_list(
        [_phantom(t) if kind == normal else t for t, kind in zip(tokens, types, strict=True)]
    )
    writer.add_token_types(types)
    writer.add_bool("tokenizer.ggml.normalizer.lowercase", tokenizer["normalizer"]["lowercase"])


def _phantom(token: str) -> str:
    """A word piece as llama.cpp has it: what begins a word is marked, not what goes on."""
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _add_llama(writer: gguf.GGUFWriter, config: dict[str, Any], tokenizer: dict[str, Any]) -> None:
    """A decoder with a byte-level BPE."""
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(config["head_dim"])
    form = pre_tokenizer(tokenizer)
    if form is None:
        raise StageFailed("Conversion failed", "Its tokenizer cuts text in an unknown way.")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(form)
    tokens, types = _tokens(tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(types)


def _tokens(tokenizer: dict[str, Any]) -> tuple[list[str], list[gguf.TokenType]]:
    """Every token by its number, and whether it is an ordinary one."""
    special = {added["id"] for added in tokenizer["added_tokens"] if added["special"]}
    numbers = {
        **tokenizer["model"]["vocab"],
        **{a["content"]: a["id"] for a in tokenizer["added_tokens"]},
    }
    tokens = sorted(numbers, key=lambda token: int(numbers[token]))
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    return tokens, [kinds[number in special] for number in range(len(tokens))]


def _rotary_pairs_side_by_side(weight: Tensor, heads: int) -> Tensor:
    """llama.cpp turns neighbouring rows together, Hugging Face those half a head apart."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def main(arguments: list[str] | None = None) -> int:
    """Convert one model; what cannot be is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m finetune.bundled")
    parser.add_argument("--model", required=True, help="Hugging Face folder, or package:NAME")
    parser.add_argument("--out", required=True, type=Path, help="GGUF file to write")
    parser.add_argument("--type", default="f16", choices=list(FILE_TYPES), help="type of weights")
    options = parser.parse_args(arguments)
    try:
        to_gguf(model_folder(options.model), options.out.resolve(), options.type)
    except (StageFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
