"""A real Ollama server for the contract: one without models, for all that are in it afterwards are deleted."""

from pathlib import Path

import httpx2
import pytest

from api.runtime import GGUFFile, Persona
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.runtime import OllamaRuntime


def ollama_runtime(url: str) -> OllamaRuntime:
    """A runtime over a server, double or real."""
    return OllamaRuntime(OllamaClient(url, start_seconds=60), context_length=2048)


async def loaded_in(url: str) -> list[tuple[str, int]]:
    """What a server has loaded, with which context."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        models = (await client.get("/api/ps")).json()["models"]
    return [(model["name"], model["context_length"]) for model in models]


async def refuse_somebodys(runtime: OllamaRuntime) -> None:
    """Fail on a server that has models."""
    if there := [model.name for model in await runtime.models()]:
        pytest.fail(f"The server that OLLAMA_TEST_URL names has models: {', '.join(there)}.")


async def furnish(runtime: OllamaRuntime, demo: Path, embedder: Path) -> None:
    """Create `demo` and `embedder`."""
    for name, gguf in (("demo", demo), ("embedder", embedder)):
        await runtime.create_model(name, GGUFFile(gguf), Persona())


async def clear(runtime: OllamaRuntime) -> None:
    """Delete what the test has made."""
    for model in await runtime.models():
        await runtime.delete_model(model.name)
