"""`/api/create`: a model from another one or from a GGUF file, told line by line."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.ollama_double import gguf_file, go_template, manifests
from tests.ollama_double.blobs import Blobs
from tests.ollama_double.gguf_file import GGUF
from tests.ollama_double.go_parser import TemplateFault
from tests.ollama_double.layers import config, imported, text_layer
from tests.ollama_double.manifests import Layer, Manifests
from tests.ollama_double.names import Name, parse
from tests.ollama_double.pull import pull
from tests.ollama_double.wire import Failure, JSONObject, Lines

FIELDS = {
    "model": "string",
    "name": "string",
    "from": "string",
    "files": "map[string]string",
    "adapters": "map[string]string",
    "quantize": "string",
    "template": "string",
    "system": "string",
    "license": "any",
    "parameters": "map[string]interface {}",
    "messages": "[]api.Message",
    "stream": "bool",
}


class Creator:
    """Makes models. `pause_seconds` lies before every line but the first, so that a test can leave in between."""

    def __init__(self, store: Manifests, library: Path | None, pause_seconds: float) -> None:
        self._store = store
        self._library = library
        self._pause_seconds = pause_seconds
        self._making: set[asyncio.Task[None]] = set()

    async def create(self, asked: JSONObject) -> Lines:
        """The lines of a creation, which goes on when nobody reads them any more."""
        name = self._name(asked)
        lines: asyncio.Queue[JSONObject | Failure | None] = asyncio.Queue()
        task = asyncio.create_task(self._make(asked, name, lines))
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        while (line := await lines.get()) is not None:
            if isinstance(line, Failure):
                raise line
            yield line

    async def _make(
        self, asked: JSONObject, name: Name, said: "asyncio.Queue[JSONObject | Failure | None]"
    ) -> None:
        try:
            async for line in self._steps(asked, name):
                said.put_nowait(line)
        except Failure as failure:
            said.put_nowait(failure)
        said.put_nowait(None)

    async def _steps(self, asked: JSONObject, name: Name) -> Lines:
        if asked.get("quantize") or (
            asked.get("adapters") and (asked.get("from") or asked.get("files"))
        ):
            raise Failure(501, "the double neither applies adapters nor quantizes")
        async for line in self._lines(asked, name):
            yield {"status": line} if isinstance(line, str) else line
            await asyncio.sleep(self._pause_seconds)
        yield {"status": "success"}

    def _name(self, asked: JSONObject) -> Name:
        for path, digest in (asked.get("files") or {}).items():
            if path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
                raise Failure(400, "file path must be relative")
            if not digest:
                raise Failure(400, "invalid digest format")
        name = parse(asked.get("model") or asked.get("name") or "")
        if name is None:
            raise Failure(400, "invalid model name")
        return self._store.existing(name)

    async def _lines(self, asked: JSONObject, name: Name) -> AsyncIterator[str | JSONObject]:
        layers: list[Layer] = []
        files = asked.get("files")
        if asked.get("from"):
            async for line in self._inherit(asked["from"], layers):
                yield line
        elif files is not None:
            digest = self._gguf_digest(files)
            yield "parsing GGUF"
            gguf = self._read(digest)
            yield "verifying conversion"
            layers += await asyncio.to_thread(imported, self._store.blobs, digest, gguf)
            layers += self._projectors(files)
        else:
            raise Failure(400, "neither 'from' or 'files' was specified")
        layers = _with_persona(self._store.blobs, layers, asked)
        for layer in layers:
            if layer.status:
                yield layer.status
        yield "writing manifest"
        (weights,) = [layer for layer in layers if layer.media == manifests.MODEL]
        gguf = gguf_file.read(self._store.blobs.path(weights.digest))
        self._store.write(name, config(gguf), layers)

    async def _inherit(self, text: str, layers: list[Layer]) -> AsyncIterator[JSONObject]:
        """The layers of the base. A base that is missing is pulled, as the real server does."""
        base = parse(text)
        if base is None:
            raise Failure(400, "invalid model name")
        base = self._store.existing(base)
        if self._store.get(base) is None:
            async for line in pull(self._store, self._library, base):
                if line["status"] != "success":
                    yield line
        model = self._store.get(base)
        if model is None:
            raise Failure(500, "pull model manifest: file does not exist")
        origin = base.short
        layers += (
            replace(layer, origin=origin, status=f"using existing layer {layer.digest}")
            for layer in model.layers
        )

    def _gguf_digest(self, files: dict[str, str]) -> str:
        for name, digest in files.items():
            if name.endswith(".safetensors"):
                raise Failure(501, "the double converts no safetensors")
            is_gguf = name.endswith(".gguf") or self._is_gguf(digest)
            if is_gguf and not self._is_projector(digest):
                return digest
        raise Failure(400, "unknown type")

    def _projectors(self, files: dict[str, str]) -> Iterator[Layer]:
        """A layer of each file that is one, as it came."""
        for digest in filter(self._is_projector, files.values()):
            size = self._store.blobs.path(digest).stat().st_size
            status = f"using existing layer {digest}"
            yield Layer(manifests.PROJECTOR, digest, size, status=status)

    def _is_projector(self, digest: str) -> bool:
        if not self._is_gguf(digest):
            return False
        try:
            gguf = gguf_file.read(self._store.blobs.path(digest))
        except Failure:  # told of the model that it is taken for
            return False
        return not gguf.of_model("block_count") and bool(gguf.of_model("vision.block_count"))

    def _is_gguf(self, digest: str) -> bool:
        try:
            with self._store.blobs.path(digest).open("rb") as file:
                return file.read(4) == b"GGUF"
        except (Failure, OSError):
            return False

    def _read(self, digest: str) -> GGUF:
        path = self._store.blobs.path(digest)
        if not path.exists():
            raise Failure(500, f"open {path}: no such file or directory")
        gguf = gguf_file.read(path)
        gguf_file.check_architecture(gguf)
        return gguf


def _with_persona(blobs: Blobs, layers: list[Layer], asked: JSONObject) -> list[Layer]:
    """The layers with what the request sets: texts replace, parameters are merged, licenses are added."""

    def put(media: str, text: str, *, replacing: bool = True) -> None:
        nonlocal layers
        layers = [layer for layer in layers if not (replacing and layer.media == media)]
        layers.append(text_layer(blobs, media, text))

    if asked.get("template"):
        try:
            go_template.Template(asked["template"])
        except TemplateFault as fault:
            raise Failure(400, f"template error: {fault}") from fault
        put(manifests.TEMPLATE, asked["template"])
    if asked.get("system"):
        put(manifests.SYSTEM, asked["system"])
    for text in _licenses(asked.get("license")):
        put(manifests.LICENSE, text, replacing=False)
    parameters: dict[str, Any] = {}
    for layer in layers:
        if layer.media == manifests.PARAMETERS:
            parameters |= json.loads(blobs.path(layer.digest).read_text())
    parameters |= asked.get("parameters") or {}
    if parameters:
        put(manifests.PARAMETERS, json.dumps(parameters))
    if asked.get("messages"):
        put(manifests.MESSAGES, json.dumps(asked["messages"]))
    return layers


def _licenses(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        kind = {bool: "bool", dict: "object"}.get(type(value), "number")
        raise Failure(500, f"json: cannot unmarshal {kind} into Go value of type []string")
    return value
