"""Tiny bases with random weights in the form of the models that people fine-tune: two layers, small vocabularies."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from tests.finetune.bases import templates
from tests.finetune.bases.vocabularies import (
    MARK,
    byte_level,
    of_sentencepiece,
    sentencepiece_model,
)

Vocabulary = Callable[[Path], int]
IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA_3 = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
)
PHI_3 = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
TURNS = ("<start_of_turn>", "<end_of_turn>", *(MARK * count for count in range(2, 17)))


@dataclass(frozen=True)
class Form:
    """A base: its configuration, what it cuts text with, and how it chats (None: it was never taught to)."""

    config: str
    vocabulary: Vocabulary
    begin: str | None
    end: str
    template: str | None = None
    template_in_config: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, Any] = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    """What generation_config.json names."""


def _spm(
    marks: tuple[str, ...] = (),
    metaspace: str | None = None,
    keep: tuple[str, ...] = ("json", "model"),
    gemma: bool = False,
) -> Vocabulary:
    def make(folder: Path) -> int:
        sentencepiece_model(folder, marks, prefix=not gemma, gemma=gemma)
        size = of_sentencepiece(folder, "<bos>" if gemma else "<s>", not gemma, metaspace)
        for kind in {"json", "model"} - set(keep):
            (folder / f"tokenizer.{kind}").unlink()
        return size

    return make


def _with_added(vocabulary: Vocabulary, *tokens: str, rstrip: bool = False) -> Vocabulary:
    """Tokens behind those of tokenizer.model, in tokenizer.json alone, as transformers 5 saves them."""

    def make(folder: Path) -> int:
        size = vocabulary(folder)
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text("utf-8"))
        plain = dict.fromkeys(("single_word", "lstrip", "normalized"), False)
        content["added_tokens"] += [
            {"id": size + place, "content": token, **plain, "rstrip": rstrip, "special": True}
            for place, token in enumerate(tokens)
        ]
        path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
        return size + len(tokens)

    return make


def _bytes(kind: str, marks: tuple[str, ...], **how: Any) -> Vocabulary:
    return lambda folder: byte_level(folder, kind, marks, **how)


_TRL = templates.of_trl
_SPM: dict[str, Any] = {"begin": "<s>", "end": "</s>"}
_3: dict[str, Any] = {"begin": "<|begin_of_text|>", "end": "<|eot_id|>"}
_LLAMA_3 = _bytes("llama3", LLAMA_3, begin="<|begin_of_text|>")
_QWEN = _bytes("qwen2", IM, normal_form=True)
_MIXTURE = {"num_experts_per_tok": 2}
_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}

FORMS: dict[str, Form] = {
    "llama-2-chat": Form(
        "Llama", _spm(), **_SPM, template=templates.LLAMA_2, tokenizer={"legacy": False}
    ),
    "tinyllama": Form("Llama", _spm(), **_SPM, template=templates.ZEPHYR),
    "hermes": Form(
        "Llama",
        _with_added(_spm(), "<|im_start|>", "<|im_end|>"),
        begin="<s>",
        end="<|im_end|>",
        template=templates.CHATML,
    ),
    "mistral-base": Form("Mistral", _spm(), **_SPM),
    "mistral-instruct": Form(
        "Mistral", _spm(metaspace="first"), **_SPM, template=templates.MISTRAL
    ),
    "mistral-json-alone": Form("Mistral", _spm(keep=("json",)), **_SPM),
    "mistral-model-alone": Form(
        "Mistral", _spm(keep=("model",)), **_SPM, template=templates.MISTRAL
    ),
    "mixtral": Form(
        "Mixtral",
        _spm(),
        **_SPM,
        template=templates.MISTRAL,
        settings={**_MIXTURE, "num_local_experts": 4},
    ),
    "llama-3-base": Form("Llama", _LLAMA_3, begin="<|begin_of_text|>", end="<|end_of_text|>"),
    "llama-3-instruct": Form("Llama", _LLAMA_3, **_3, template=_TRL("llama3")),
    "llama-3.1-instruct": Form(
        "Llama",
        _LLAMA_3,
        **_3,
        template=_TRL("llama3_1"),
        settings={"rope_parameters": _ROPE},
        ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
    ),
    "llama-3.2-instruct": Form(
        "Llama",
        _LLAMA_3,
        **_3,
        template=_TRL("llama3_2"),
        settings={"rope_parameters": {**_ROPE, "factor": 32.0}, "tie_word_embeddings": True},
    ),
    "qwen-2.5-base": Form("Qwen2", _QWEN, None, "<|endoftext|>", _TRL("qwen2_5")),
    "qwen-2.5-instruct": Form("Qwen2", _QWEN, None, "<|im_end|>", _TRL("qwen2_5")),
    "qwen-3-thinking": Form("Qwen3", _QWEN, None, "<|im_end|>", _TRL("qwen3")),
    "qwen-3-moe": Form(
        "Qwen3Moe",
        _QWEN,
        None,
        "<|im_end|>",
        _TRL("qwen3"),
        settings={
            **_MIXTURE,
            "num_experts": 4,
            "moe_intermediate_size": 64,
            "norm_topk_prob": True,
        },
    ),
    "gemma-2-it": Form(
        "Gemma2",
        _spm(TURNS, gemma=True),
        "<bos>",
        "<eos>",
        _TRL("gemma"),
        settings={"head_dim": 32, "query_pre_attn_scalar": 32},
        ends=("<eos>", "<end_of_turn>"),
    ),
    "gemma-2-json-alone": Form(
        "Gemma2",
        _spm(TURNS, gemma=True, keep=("json",)),
        "<bos>",
        "<eos>",
        _TRL("gemma"),
        settings={"head_dim": 32, "query_pre_attn_scalar": 32},
    ),
    "gemma-3-it": Form(
        "Gemma3Text",
        _spm(TURNS, gemma=True),
        "<bos>",
        "<eos>",
        _TRL("gemma3"),
        settings={
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "sliding_window": 64,
            "num_hidden_layers": 6,
        },
        ends=("<eos>", "<end_of_turn>"),
    ),
    "phi-3": Form(
        "Phi3",
        _with_added(_spm(), *PHI_3, rstrip=True),
        "<s>",
        "<|endoftext|>",
        _TRL("phi3"),
        settings={"pad_token_id": 2},
        ends=("<|endoftext|>", "<|end|>"),
    ),
    "phi-4": Form(
        "Phi3",
        _bytes("llama3", (*IM, "<|im_sep|>")),
        "<|endoftext|>",
        "<|im_end|>",
        templates.PHI_4,
        settings={"pad_token_id": 0},
        tokenizer={"tokenizer_class": "GPT2Tokenizer"},
    ),
    "smollm-2": Form(
        "Llama",
        _bytes("digits", IM),
        "<|im_start|>",
        "<|im_end|>",
        templates.SMOLLM_2,
        settings={"tie_word_embeddings": True},
    ),
    "smollm-3": Form(
        "SmolLM3",
        _bytes("llama3", IM, whole_words=True),
        None,
        "<|im_end|>",
        templates.SMOLLM_3,
        settings={"pad_token_id": 0},
    ),
    "olmo-2": Form(
        "Olmo2", _bytes("llama3", IM), "<|endoftext|>", "<|endoftext|>", templates.OLMO_2
    ),
    "starcoder-2": Form("Starcoder2", _bytes("digits", IM), "<|endoftext|>", "<|endoftext|>"),
    "gpt-2": Form("GPT2", _bytes("gpt2", IM[:1]), "<|endoftext|>", "<|endoftext|>"),
    "bloom": Form(
        "Bloom",
        _bytes("bloom", ("<unk>", "<s>", "</s>", "<pad>")),
        "<s>",
        "</s>",
        settings={"tie_word_embeddings": False},
    ),
    "pythia": Form(
        "GPTNeoX",
        _bytes("gpt2", ("<|endoftext|>", "<|padding|>"), normal_form=True),
        "<|endoftext|>",
        "<|endoftext|>",
        settings={"intermediate_size": 128},
    ),
    "falcon-7b": Form(
        "Falcon",
        _bytes("gpt2", IM[:1]),
        None,
        "<|endoftext|>",
        settings={"multi_query": True, "new_decoder_architecture": False},
    ),
    "falcon-40b": Form(
        "Falcon",
        _bytes("gpt2", IM[:1]),
        None,
        "<|endoftext|>",
        settings={"new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "end-in-generation-config": Form(
        "Llama",
        _bytes("gpt2", ("<|endoftext|>", "<|turn|>", "<|over|>")),
        None,
        "<|endoftext|>",
        templates.TURNS,
        ends=("<|endoftext|>", "<|over|>"),
    ),
}
"""By name."""

_PLAIN = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
_FEW = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_OWN_NAMES: dict[str, dict[str, Any]] = {
    "GPT2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 1024},
    "GPTNeoX": {**_FEW, "max_position_embeddings": 1024},
    "Falcon": {**_FEW, "bias": False, "alibi": False, "parallel_attn": True},
    "Bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4, "seq_length": 1024},
}


def make(name: str, folder: Path) -> Path:
    """Write one base; its folder."""
    form = FORMS[name]
    folder.mkdir(parents=True)
    size = form.vocabulary(folder)
    marks = {"bos_token": form.begin, "eos_token": form.end}
    config = {"tokenizer_class": _class_of(folder), **marks, **form.tokenizer}
    if (folder / "tokenizer.model").is_file():
        config["add_bos_token"] = True
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    if form.template is not None:
        (folder / "chat_template.jinja").write_text(form.template, "utf-8")
    numbers = _numbers(folder, [form.begin, form.end, *form.ends])
    _weights(form, size, numbers).save_pretrained(str(folder))
    generation = {"eos_token_id": [numbers[end] for end in form.ends] or numbers[form.end]}
    (folder / "generation_config.json").write_text(json.dumps(generation), "utf-8")
    return folder


def _class_of(folder: Path) -> str:
    return "LlamaTokenizer" if (folder / "tokenizer.model").is_file() else "PreTrainedTokenizerFast"


def _numbers(folder: Path, tokens: list[str | None]) -> dict[str | None, int]:
    from finetune.bases.tokenizer_files import read

    known = read(folder).get_vocab()
    return {token: known[token] for token in tokens if token}


def _weights(form: Form, size: int, numbers: dict[str | None, int]) -> Any:
    """Random ones, large enough that tokens differ much in how likely they are."""
    kind: Any = getattr(transformers, f"{form.config}Config")
    shape = _OWN_NAMES.get(form.config, _PLAIN)
    ids = {"bos_token_id": numbers.get(form.begin), "eos_token_id": numbers[form.end]}
    config = kind(**{"vocab_size": size, **shape, **ids, "pad_token_id": None, **form.settings})
    torch.manual_seed(0)
    loader: Any = AutoModelForCausalLM
    model = loader.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.12)
            elif "norm" not in name and "ln_" not in name:
                weight.normal_(0, 0.02)
    return model.half()
