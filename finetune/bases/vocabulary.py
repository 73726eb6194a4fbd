"""How a vocabulary of one's own is told to llama.cpp, whose converter knows the published ones by a hash alone."""

import json
from pathlib import Path
from typing import Any

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")


def pre_tokenizer(tokenizer: dict[str, Any]) -> str | None:
    """llama.cpp's name for the way this tokenizer.json cuts text, when it is exactly one of these forms."""
    if tokenizer.get("normalizer") is not None:
        return None
    match tokenizer.get("pre_tokenizer"):
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return "gpt-2"
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
            ],
        }:
            return "smollm"
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": pattern},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return {_LLAMA_3: "llama-bpe", _QWEN_2: "qwen2"}.get(pattern.get("Regex"))
    return None


def recognise_own_vocabularies() -> None:
    """The converter knows a pre-tokenizer by a hash over the vocabulary; for an own one, look at its form."""
    from conversion import base

    known = base.TextModel.get_vocab_base_pre

    def by_hash_or_form(self: Any, tokenizer: Any) -> str:
        try:
            return str(known(self, tokenizer))
        except NotImplementedError:
            path = Path(self.dir_model) / "tokenizer.json"
            name = pre_tokenizer(json.loads(path.read_text("utf-8"))) if path.is_file() else None
            if name is None:
                raise
            return name

    base.TextModel.get_vocab_base_pre = by_hash_or_form
