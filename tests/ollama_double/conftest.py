"""Doubles that run: one that most tests share, and some with a configuration of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.ollama_double import variants
from tests.ollama_double.asking import Server
from tests.ollama_double.running import copy_layout, lay_out, running_double

CUT_BYTES = 300_000


@pytest.fixture(scope="package")
def layout(demo_gguf: Path, embedding_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `demo` (Jinja), `turns` (its look-alike template was replaced) and `embedder`."""
    folder = tmp_path_factory.mktemp("layout")
    turns = folder / "turns.gguf"
    turns.write_bytes(variants.with_template(demo_gguf, variants.TURNS))
    lay_out(folder / "models", {"demo": demo_gguf, "turns": turns, "embedder": embedding_gguf})
    return folder / "models"


@pytest.fixture(scope="package")
def server(
    layout: Path, demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The double that most tests share."""
    folder = tmp_path_factory.mktemp("double") / "models"
    copy_layout(layout, folder)
    with (
        running_double(folder, {"base": demo_gguf}) as url,
        httpx2.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        yield _prepared(http, folder, demo_gguf)


Opener = Callable[..., Server]


@pytest.fixture
def open_server(layout: Path, demo_gguf: Path, tmp_path: Path) -> Iterator[Opener]:
    """Opens a double of a test's own."""
    with ExitStack() as stack:

        def opened(**config: Any) -> Server:
            if not (tmp_path / "models").exists():
                copy_layout(layout, tmp_path / "models")
            url = stack.enter_context(running_double(tmp_path / "models", **config))
            http = stack.enter_context(httpx2.Client(base_url=url, timeout=60, trust_env=False))
            return Server(http, tmp_path / "models", {}, demo_gguf)

        yield opened


def _prepared(http: httpx2.Client, folder: Path, demo_gguf: Path) -> Server:
    server = Server(http, folder, {}, demo_gguf)
    content = demo_gguf.read_bytes()
    uploads = {
        "good": content,
        "text": b"This is no model.",
        "header": content[:200],
        "cut": content[:-CUT_BYTES],
        "odd": variants.of_architecture(demo_gguf, "strange"),
    }
    for name, upload in uploads.items():
        server.uploads[name] = server.upload(upload)
    return server
