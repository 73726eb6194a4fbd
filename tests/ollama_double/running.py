"""Runs a double for a test: in a thread of its own, or as a program."""

import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tests.ollama_double import gguf_file, layers, manifests
from tests.ollama_double.config import Config
from tests.ollama_double.manifests import Layer, Manifests
from tests.ollama_double.names import parse
from tests.ollama_double.server import create_app


@contextmanager
def running_double(
    models: Path, library: Mapping[str, Path] | None = None, **config: Any
) -> Iterator[str]:
    """A running double; yields its URL. `library`: what can be pulled, by name."""
    folder = None
    if library is not None:
        folder = models / "library"
        folder.mkdir(parents=True, exist_ok=True)
        for name, gguf in library.items():
            _link(gguf, folder / f"{name}.gguf")
    app = create_app(Config(models=models, library=folder, **config))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = uvicorn.Server(uvicorn_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def uvicorn_config(app: Any, **more: Any) -> uvicorn.Config:
    """How uvicorn runs a double: open streams do not keep it."""
    return uvicorn.Config(
        app, log_level="critical", timeout_graceful_shutdown=0, backlog=2048, **more
    )


def lay_out(models: Path, ggufs: Mapping[str, Path]) -> None:
    """Put models into a folder as a create of each would, and at once."""
    store = Manifests(models)
    for name, path in ggufs.items():
        parsed = parse(name)
        assert parsed
        gguf = gguf_file.read(path)
        with store.blobs.incoming() as incoming:
            gguf_file.rewrite(path, gguf, incoming, {"general.name": None})
            digest, _ = incoming.keep()
        weights = Layer(manifests.MODEL, digest, store.blobs.path(digest).stat().st_size)
        store.write(parsed, layers.config(gguf), [weights, *layers.autodetected(store.blobs, gguf)])


def copy_layout(source: Path, target: Path) -> None:
    """A second folder with the same models; blobs are linked, so that it takes no time."""
    shutil.copytree(source / "manifests", target / "manifests")
    shutil.copytree(source / "blobs", target / "blobs", copy_function=_link)


def _link(source: Any, target: Any) -> None:
    Path(target).hardlink_to(source)
