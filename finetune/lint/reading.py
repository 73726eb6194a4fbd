"""Whether rows can be read as tokens here: a base must be named, have a tokenizer, and what reads one be installed."""

import importlib.util
from pathlib import Path

TOKENIZER_FILES = ("tokenizer*", "vocab*", "spiece*", "tekken*")


def why_not(base: Path | None) -> str | None:
    """The reason, or None when they can."""
    if base is None:
        return "No base was named."
    if importlib.util.find_spec("transformers") is None:
        return "Reading rows as tokens needs the finetune extra; the job does it when it begins."
    if not any(any(base.glob(pattern)) for pattern in TOKENIZER_FILES):
        return f"{base.name} holds no tokenizer."
    return None
