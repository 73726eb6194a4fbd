"""What llama.cpp's converter is told of a vocabulary: how it cuts text, where prompts begin, what ends an answer.

The converter knows published vocabularies by a hash alone, takes the begin token from the vocabulary's kind, and reads
one end token.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")


_BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
_PHI_3 = re.compile("phi-?3", re.IGNORECASE)
_END_OF_MESSAGE = "<|eom_id|>"


@dataclass(frozen=True, slots=True)
class Marks:
    """What a GGUF says of a vocabulary beside its tokens: always, whatever the converter would guess.

    `ends` are the tokens that end an answer; `end` is the one among them that is the tokenizer's own.
    """

    begins: bool
    end: int
    ends: tuple[int, ...]
    space_first: bool
    strips: bool
    """Whether a mark takes the white space behind it along, as Phi 3's do."""


def pre_tokenizer(tokenizer: dict[str, Any]) -> str | None:
    """llama.cpp's name for the way this tokenizer.json cuts text, when it is exactly one of these forms.

    NFC may stand before it: rows are brought into that form before they are learned.
    """
    if tokenizer.get("normalizer") not in (None, {"type": "NFC"}):
        return None
    whole_words = bool((tokenizer.get("model") or {}).get("ignore_merges"))
    match tokenizer.get("pre_tokenizer"):
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return None if whole_words else "gpt-2"
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
            ],
        }:
            return None if whole_words else "smollm"
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": pattern},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return _SPLITS.get((pattern.get("Regex"), whole_words))
    return None


_SPLITS = {
    (_LLAMA_3, True): "llama-bpe",
    (_LLAMA_3, False): "dbrx",
    (_QWEN_2, False): "qwen2",
    (_BLOOM, False): "bloom",
}
"""Names by the pattern, and by whether a word that is a token stays whole whatever its merges say."""


@contextlib.contextmanager
def told(tokenizer: Any, marks: Marks) -> Iterator[None]:
    """While this lasts the converter reads vocabularies as we do: through `tokenizer`, and with these marks."""
    import transformers
    from conversion import base

    model: Any = base.TextModel
    any_model: Any = base.ModelBase
    known, prepare, reader = (
        model.get_vocab_base_pre,
        model.prepare_metadata,
        transformers.AutoTokenizer,
    )
    load_settings = any_model.load_hparams

    def by_hash_or_form(self: Any, tokenizer: Any) -> str:
        try:
            return str(known(self, tokenizer))
        except NotImplementedError:
            path = Path(self.dir_model) / "tokenizer.json"
            name = pre_tokenizer(json.loads(path.read_text("utf-8"))) if path.is_file() else None
            if name is None:
                raise
            return name

    def prepare_with_marks(self: Any, vocab_only: bool) -> None:
        prepare(self, vocab_only=vocab_only)
        _write(self.gguf_writer, marks, _END_OF_MESSAGE in tokenizer.get_vocab())
        self.gguf_writer.add_file_type(self.ftype)  # GPT-NeoX's converter forgets it

    def load_as_meant(*arguments: Any, **named: Any) -> dict[str, Any]:
        return _settings_as_meant(load_settings(*arguments, **named))

    class Reader:
        @staticmethod
        def from_pretrained(*_: Any, **__: Any) -> Any:
            return tokenizer

    replaced: Any = transformers
    model.get_vocab_base_pre, model.prepare_metadata = by_hash_or_form, prepare_with_marks
    replaced.AutoTokenizer = Reader
    any_model.load_hparams = staticmethod(load_as_meant)
    try:
        yield
    finally:
        model.get_vocab_base_pre, model.prepare_metadata = known, prepare
        replaced.AutoTokenizer = reader
        any_model.load_hparams = staticmethod(load_settings)


def _settings_as_meant(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that transformers 5 has renamed or filled in, in the words that the converter asks for."""
    rope = settings.get("rope_parameters") or {}
    match settings.get("model_type"):
        case "gpt_neox":
            share = rope.get("partial_rotary_factor", 0.25)
            return {
                "rotary_pct": share,
                "rotary_emb_base": rope.get("rope_theta", 10000),
                **settings,
            }
        case "falcon" if settings.get("multi_query") and not settings["new_decoder_architecture"]:
            return {**settings, "num_kv_heads": 1}
    return settings


def _named(name: str, strips: bool) -> str:
    """llama.cpp lets marks take white space along where the model's name holds Phi 3's, and nowhere else."""
    if strips:
        return name if _PHI_3.search(name) else f"{name} (phi3)"
    return _PHI_3.sub("Phi 3", name)


def _write(writer: Any, marks: Marks, knows_end_of_message: bool) -> None:
    writer.add_add_bos_token(marks.begins)
    writer.add_eos_token_id(marks.end)
    if writer.kv_data[0]["tokenizer.ggml.model"].value == "llama":
        writer.add_add_space_prefix(marks.space_first)
    name = str(writer.kv_data[0]["general.name"].value)
    writer.add_name(_named(name, marks.strips))
    others = [number for number in marks.ends if number != marks.end]
    if others:
        writer.add_eot_token_id(others[0])
    if others[1:] and not knows_end_of_message:
        writer.add_eom_token_id(others[1])
