"""The small files of a base: read as they are written, and laid out so that llama.cpp's converter finds all of them.

No weights are touched. `read` is what training reads, `lay_out` what the converter gets; both are the same tokenizer.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from finetune.bases import sentencepiece
from finetune.job.files import read_json, write_atomically
from finetune.job.stage import StageFailed

KEPT = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_MARKS = ("bos_token", "eos_token", "unk_token", "pad_token")


def read(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, `tokenizer.json` taken as it is. Raises `StageFailed`.

    transformers 5 builds the tokenizers it has a class for anew: Llama's then drops a leading space that
    SentencePiece and llama.cpp keep. Made from `tokenizer.model` it lacks the space before a text.
    """
    try:
        if (folder / "tokenizer.json").is_file():
            return _as_written(folder)
        if (folder / "tokenizer.model").is_file():
            with tempfile.TemporaryDirectory() as place:
                copy(folder, Path(place))
                _write_tokenizer(Path(place))
                return _as_written(Path(place))
        return _loaded(AutoTokenizer, folder)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise StageFailed("Tokenizer unusable", f"{folder.name}: {error}") from error


def lay_out(base: Path, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the small files of `base` into a folder for the converter, with this tokenizer's template and tokens.

    transformers 5 writes neither `tokenizer.model` nor `added_tokens_decoder`; without them SentencePiece scores and
    added tokens are lost in silence. Raises `StageFailed`.
    """
    copy(base, folder)
    _write(folder / "config.json", _config_of(base))
    written = folder / "tokenizer.json"
    if not written.is_file() and (folder / "tokenizer.model").is_file():
        _write_tokenizer(folder)
    elif not written.is_file():
        tokenizer.save_pretrained(str(folder))
    content = _object(written)
    if sentencepiece.is_sentencepiece(content) and not (folder / "tokenizer.model").is_file():
        (folder / "tokenizer.model").write_bytes(sentencepiece.model_of(content))
    config = _object(folder / "tokenizer_config.json")
    # The converter takes a vocabulary of Phi's for SentencePiece's unless it is called GPT-2's.
    kind = "LlamaTokenizer" if sentencepiece.is_sentencepiece(content) else "GPT2Tokenizer"
    config["tokenizer_class"] = kind
    config.pop("chat_template", None)
    (folder / "chat_template.json").unlink(missing_ok=True)
    config |= {name: getattr(tokenizer, name) for name in _MARKS if getattr(tokenizer, name)}
    config["added_tokens_decoder"] = added_tokens(tokenizer)
    _write(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(str(tokenizer.chat_template), "utf-8")


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, dict[str, Any]]:
    """Every added token by its number, as `tokenizer_config.json` holds them."""
    flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        str(number): {flag: getattr(token, flag) for flag in flags}
        for number, token in tokenizer.added_tokens_decoder.items()
    }


def end_ids(folder: Path) -> list[int]:
    """The end tokens that `generation_config.json` and `config.json` name."""
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        named = _object(folder / name).get("eos_token_id")
        found += named if isinstance(named, list) else [named] if isinstance(named, int) else []
    return list(dict.fromkeys(found))


def _as_written(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer = _loaded(PreTrainedTokenizerFast, folder)
    sentencepiece.as_sentencepiece(tokenizer.backend_tokenizer)
    if tokenizer.eos_token is None:  # GPT-2's files name no mark: its class does
        named = _loaded(AutoTokenizer, folder)
        for name in _MARKS:
            if getattr(tokenizer, name) is None and getattr(named, name) in tokenizer.get_vocab():
                setattr(tokenizer, name, getattr(named, name))
    ends = end_ids(folder)
    if tokenizer.eos_token is None and ends:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    return tokenizer


def _loaded(kind: Any, folder: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    return tokenizer


def copy(base: Path, folder: Path) -> None:
    """The tokenizer of a base beside other weights, byte by byte: saved anew it would be another."""
    for name in KEPT:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _write_tokenizer(folder: Path) -> None:
    """tokenizer.json of tokenizer.model."""
    config = _object(folder / "tokenizer_config.json")
    more = {str(token): int(n) for token, n in _object(folder / "added_tokens.json").items()}
    begins = config.get("add_bos_token") is not False
    made = sentencepiece.tokenizer_of(folder / "tokenizer.model", begins, more)
    _write(folder / "tokenizer.json", made)


def _config_of(base: Path) -> dict[str, Any]:
    """As the converter wants it: GPT-2's context is asked for by a name that transformers no longer writes."""
    config = _object(base / "config.json")
    if config.get("model_type") == "gpt2" and "n_positions" in config:
        config.setdefault("n_ctx", config["n_positions"])
    return config


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False))
