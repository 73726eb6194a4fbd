"""GGUF files that differ from a given one in what a test is about."""

import io
import struct
from pathlib import Path

from tests.ollama_double import gguf_file

TURNS = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WITH_TOOLS = (
    "{% if tools %}{{ '<|im_start|>system\nTools:\n' }}{% for tool in tools %}{{ tool | tojson + '\n' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endif %}" + TURNS
)


def with_template(gguf: Path, template: str | None) -> bytes:
    """The file with another chat template, or with none."""
    return changed(gguf, {"tokenizer.chat_template": template})


def of_architecture(gguf: Path, architecture: str) -> bytes:
    """The file with another architecture."""
    return changed(gguf, {"general.architecture": architecture})


def unquantized(gguf: Path) -> bytes:
    """The file's header with a file type of F32, which Ollama does not name."""
    key = b"general.file_type" + struct.pack("<I", 4)
    content = gguf.read_bytes()
    at = content.index(key) + len(key)
    return content[:at] + struct.pack("<I", 0) + content[at + 4 :]


def changed(gguf: Path, texts: dict[str, str | None]) -> bytes:
    """The file with other texts in its metadata."""
    out = io.BytesIO()
    gguf_file.rewrite(gguf, gguf_file.read(gguf), out, texts)
    return out.getvalue()
