"""`/api/pull`: a model out of the library, which is a folder of GGUF files; without one there is no internet."""

import asyncio
import os
from pathlib import Path

from tests.ollama_double import gguf_file, layers, manifests
from tests.ollama_double.manifests import Layer, Manifests
from tests.ollama_double.names import LIBRARY_HOST, Name
from tests.ollama_double.wire import Failure, Lines

FIELDS = {"model": "string", "name": "string", "insecure": "bool", "stream": "bool"}
_PARTS = 10


async def pull(store: Manifests, library: Path | None, name: Name) -> Lines:
    """The lines of a pull; the model is there when `success` comes."""
    yield {"status": "pulling manifest"}
    source = _source(library, name)
    total = source.stat().st_size
    pause = float(os.environ.get("OLLAMA_DOUBLE_PULL_SECONDS", "0")) / _PARTS
    digest = await asyncio.to_thread(_take, store, source)
    line = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
    for part in range(1, _PARTS + 1):
        await asyncio.sleep(pause)
        yield line | {"completed": total * part // _PARTS}
    gguf = gguf_file.read(store.blobs.path(digest))
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    parts = [Layer(manifests.MODEL, digest, total), *layers.autodetected(store.blobs, gguf)]
    store.write(name, layers.config(gguf), parts)
    yield {"status": "success"}


def _source(library: Path | None, name: Name) -> Path:
    if library is None:
        address = f"{name.host}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
        fault = f"dial tcp: lookup {LIBRARY_HOST}: no such host"
        raise Failure(500, f'pull model manifest: Get "https://{address}": {fault}')
    names = [f"{name.model}:{name.tag}", f"{name.model}-{name.tag}"]
    if name.tag == "latest":
        names.append(name.model)
    folder = library if name.namespace == "library" else library / name.namespace
    for each in names:
        if (path := folder / f"{each}.gguf").is_file():
            return path
    raise Failure(500, "pull model manifest: file does not exist")


def _take(store: Manifests, source: Path) -> str:
    with store.blobs.incoming() as incoming, source.open("rb") as file:
        while part := file.read(2**20):
            incoming.write(part)
        digest, _ = incoming.keep()
    return digest
