"""A Hugging Face folder with a language model: which of its files are taken, and whether it is whole.

Weights are safetensors, nothing else: a pickle can run code when it is loaded. No Python file is ever taken.
"""

import importlib.util
import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from finetune.bases import refusals
from finetune.job.stage import StageFailed
from finetune.preflight.base import read_base, safetensors_header

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLE = re.compile(r".*\.(bin|pt|pth|ckpt|h5|msgpack)")
_TEXT = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab"
    r"|chat_template|tekken|model\.safetensors\.index)\.json"
    r"|tokenizer\.model|merges\.txt|vocab\.txt|chat_template\.jinja"
    r"|(LICEN[CS]E|NOTICE|COPYRIGHT|USE_POLICY|README)[\w-]*(\.(md|txt))?"
)
_GGUF = re.compile(r"[\w.-]+\.gguf")
_GGUF_PART = re.compile(r".*-\d{5}-of-\d{5}\.gguf")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt")


def files_of(names: Iterable[str], where: str) -> list[str]:
    """Those of a repository's or a folder's files that make up the model, weights last. Raises `StageFailed`."""
    there = set(names)
    if "config.json" not in there:
        raise StageFailed("Not a model folder", f"{where} holds no config.json.{_ggufs(there)}")
    weights = {name for name in there if _SHARD.fullmatch(name)} if INDEX in there else {SINGLE}
    if not weights or not weights <= there:
        raise StageFailed("No safetensors", f"{where} holds no {SINGLE}.{_instead(there)}")
    return [*sorted(name for name in there if _TEXT.fullmatch(name)), *sorted(weights)]


def ggufs_of(names: Iterable[str]) -> list[str]:
    """Those that are a GGUF file of their own, sorted: no part of one, and in no folder below."""
    return sorted(name for name in names if _GGUF.fullmatch(name) and not is_gguf_part(name))


def is_gguf_part(name: str) -> bool:
    """Whether it is one of several files that llama.cpp split a GGUF into."""
    return bool(_GGUF_PART.fullmatch(name))


def require_whole(folder: Path) -> None:
    """A folder with a model and all of its weights, told by names and headers alone. Raises `StageFailed`."""
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    files_of(there, str(folder))
    check(folder)


def check(folder: Path) -> None:
    """Every shard is there and whole, and there is a tokenizer. Raises `StageFailed`."""
    _object(folder / "config.json")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise StageFailed("No tokenizer", f"{folder.name} holds none of {', '.join(_TOKENIZERS)}.")
    for name in _shards(folder):
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise StageFailed("Weights missing", f"{folder.name} holds no {name!r}.")
        missing = _missing_bytes(path)
        if missing:
            raise StageFailed(
                "Weights damaged",
                f"{name} is not as long as its header says ({missing:+} bytes missing).",
            )
    read_base(folder)


def _shards(folder: Path) -> list[str]:
    if not (folder / INDEX).is_file():
        return [SINGLE]
    places = _object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict):
        raise StageFailed("Model folder damaged", f"{INDEX} holds no weight_map.")
    return sorted({str(name) for name in places.values()})


def weights_bytes(folder: Path) -> int:
    """Size of all weights."""
    return sum(path.stat().st_size for path in folder.glob("model*.safetensors"))


def speaks(folder: Path) -> bool:
    """Whether its architecture makes text, as its config.json says."""
    return refusals.speaks(_object(folder / "config.json"))


def add_chat_template(folder: Path) -> bool:
    """Give a base that was never taught to chat the plain template that fine-tuning uses too; whether it needed
    one. Needs the `finetune` extra. Raises `StageFailed`.
    """
    if not speaks(folder) or _has_chat_template(folder):
        return False
    if importlib.util.find_spec("transformers") is None:
        return False
    from finetune.tokenizer import load_tokenizer  # takes seconds to import

    template = load_tokenizer(folder).chat_template
    (folder / "chat_template.jinja").write_text(str(template), "utf-8")
    return True


def _has_chat_template(folder: Path) -> bool:
    if any((folder / f"chat_template.{kind}").is_file() for kind in ("jinja", "json")):
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(_object(path).get("chat_template"))


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StageFailed("Model folder damaged", f"{path.name}: {error}") from error
    if not isinstance(content, dict):
        raise StageFailed("Model folder damaged", f"{path.name} is no JSON object.")
    return content


def _missing_bytes(path: Path) -> int:
    """How much shorter a safetensors file is than its header says."""
    try:
        length, tensors = safetensors_header(path)
        ends = [tensor["data_offsets"][1] for tensor in tensors.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise StageFailed("Weights damaged", f"{path.name}: {error}") from error
    return 8 + length + int(max(ends, default=0)) - path.stat().st_size


def _instead(there: set[str]) -> str:
    if any(_PICKLE.fullmatch(name) for name in there):
        return (
            " Its weights are pickles (.bin, .pt), which can run code when they are loaded, and are "
            "not taken. Look for a revision with safetensors (often --revision refs/pr/1)."
        )
    return _ggufs(there)


def _ggufs(there: set[str]) -> str:
    names = ggufs_of(there)
    if not names:
        return ""
    return f" It holds GGUF files; name one: ORGANISATION/MODEL:{names[0]} ({len(names)} in all)."
