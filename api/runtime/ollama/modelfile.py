"""A Modelfile for a GGUF: the words with which Ollama makes the model that this service would have it make."""

import json
from pathlib import Path

from api.runtime.gguf import read_header
from api.runtime.ollama.parameters import NO_PENALTY
from api.runtime.ollama.template import derive

_QUOTES = '"""'


def modelfile(gguf: Path, name: str) -> str:
    """FROM that name; template and stops where the file's own prompts can be written as a Go template.

    Blocks for some tenths of a second. Raises `errors.Unusable` for what is no GGUF.
    """
    form = derive(read_header(gguf))
    lines = [f"FROM {name}"]
    if form is None:
        lines.append("# Ollama reads the chat template of the file itself.")
    elif _QUOTES not in form.go_template:
        lines.append(f"TEMPLATE {_QUOTES}{form.go_template}{_QUOTES}")
    lines.append(f"PARAMETER repeat_penalty {NO_PENALTY:g}")
    stops = form.stops if form else ()
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    return "\n".join(lines) + "\n"
