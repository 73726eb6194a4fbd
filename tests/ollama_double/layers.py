"""Makes the layers of a model from what was uploaded."""

import json
from dataclasses import replace

from tests.ollama_double import gguf_file, manifests, templates
from tests.ollama_double.blobs import Blobs
from tests.ollama_double.gguf_file import GGUF
from tests.ollama_double.manifests import Layer
from tests.ollama_double.wire import JSONObject


def imported(blobs: Blobs, digest: str, gguf: GGUF) -> list[Layer]:
    """The layers of an imported file: it is written anew, and a well-known template replaces its own."""
    with blobs.incoming() as incoming:
        gguf_file.rewrite(blobs.path(digest), gguf, incoming, {"general.name": None})
        rewritten, is_new = incoming.keep()
    size = blobs.path(rewritten).stat().st_size
    verb = "creating new" if is_new else "using existing"
    weights = Layer(manifests.MODEL, rewritten, size, status=f"{verb} layer {rewritten}")
    return [weights, *autodetected(blobs, gguf)]


def autodetected(blobs: Blobs, gguf: GGUF) -> list[Layer]:
    """The layers of the built-in template that a GGUF's own looks like."""
    builtin = templates.closest(gguf.template) if gguf.template else None
    if builtin is None:
        return []
    told = f"using autodetected template {builtin.name}"
    stops = json.dumps({"stop": list(builtin.stops)})
    template = replace(text_layer(blobs, manifests.TEMPLATE, builtin.go), status=told)
    return [template, text_layer(blobs, manifests.PARAMETERS, stops)]


def text_layer(blobs: Blobs, media: str, text: str) -> Layer:
    """A layer that holds a text."""
    digest, is_new = blobs.put(text.encode())
    verb = "creating new" if is_new else "using existing"
    return Layer(media, digest, len(text.encode()), status=f"{verb} layer {digest}")


def config(gguf: GGUF) -> JSONObject:
    """What a manifest keeps of a file's header."""
    return {
        "model_format": "gguf",
        "model_family": gguf.architecture,
        "model_type": _human(gguf.parameters),
        "file_type": gguf.file_type,
    }


def _human(number: int) -> str:
    for unit, size, digits in (("B", 10**9, 1), ("M", 10**6, 2)):
        if number >= size:
            return (
                f"{number // size}{unit}"
                if number % size == 0
                else f"{number / size:.{digits}f}{unit}"
            )
    return f"{number / 1000:.0f}K" if number >= 1000 else str(number)
