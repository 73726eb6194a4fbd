"""The converter: which vocabularies it takes, and that it writes a whole file or none."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune import gguf_file
from finetune.bases.vocabulary import pre_tokenizer
from finetune.job.stage import StageFailed
from finetune.stages.convert import main as convert
from tests.finetune.jobs import DEMO_MODEL, ROOT

LLAMA_3 = (
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+"
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)


def byte_level(use_regex: bool, prefix: bool = False) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def sequence(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(pattern: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (byte_level(True), "gpt-2"),
        (sequence({"type": "Digits", "individual_digits": True}, byte_level(True)), "smollm"),
        (sequence(split(LLAMA_3), byte_level(False)), "dbrx"),
        (sequence(split(LLAMA_3.replace("{1,3}", "")), byte_level(False)), "qwen2"),
        (byte_level(True, prefix=True), None),
        (byte_level(False), None),
        (sequence({"type": "Digits", "individual_digits": False}, byte_level(True)), None),
        (sequence(split(LLAMA_3 + "|x"), byte_level(False)), None),
        (None, None),
    ],
)
def test_a_pre_tokenizer_is_named_only_when_it_is_exactly_that(
    form: dict[str, Any] | None, name: str | None
) -> None:
    assert pre_tokenizer({"normalizer": None, "pre_tokenizer": form}) == name
    assert pre_tokenizer({"normalizer": {"type": "NFC"}, "pre_tokenizer": form}) == name
    assert pre_tokenizer({"normalizer": {"type": "Lowercase"}, "pre_tokenizer": form}) is None


def test_a_word_that_is_a_token_stays_whole_where_the_vocabulary_says_so() -> None:
    whole = {"pre_tokenizer": sequence(split(LLAMA_3), byte_level(False))}
    assert pre_tokenizer({**whole, "model": {"ignore_merges": True}}) == "llama-bpe"
    assert pre_tokenizer({**whole, "model": {"ignore_merges": False}}) == "dbrx"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "finetune.stages.convert", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_demo_model_becomes_a_gguf(tmp_path: Path) -> None:
    result = run("--model", DEMO_MODEL, "--out", tmp_path / "demo.gguf")
    assert result.returncode == 0, result.stderr
    file = gguf_file.read(tmp_path / "demo.gguf")
    config = json.loads((DEMO_MODEL / "config.json").read_text())
    assert (file.file_type, file.context_length) == (1, config["max_position_embeddings"])


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    result = run("--model", "/does/not/exist", "--out", tmp_path / "out.gguf")
    assert (result.returncode, "config.json" in result.stderr) == (1, True)
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def without_weights(model: Path) -> str:
    (model / "model.safetensors").unlink()
    return "holds no model.safetensors"


def with_pickled_weights(model: Path) -> str:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    return "pickles"


def with_a_part_missing(model: Path) -> str:
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    parts = {str(part): f"model-0000{part}-of-00002.safetensors" for part in (1, 2)}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    return "model-00002-of-00002.safetensors"


def with_torn_weights(model: Path) -> str:
    with (model / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)
    return "not as long as its header says"


@pytest.mark.parametrize(
    "spoil", [without_weights, with_pickled_weights, with_a_part_missing, with_torn_weights]
)
def test_a_folder_without_all_of_its_weights_is_refused_before_anything_is_loaded(
    tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, model)
    says = spoil(model)
    program = (
        "import sys; from finetune.stages.convert import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers'} & set(sys.modules); sys.exit(code * 10 + len(heavy))"
    )
    out = tmp_path / "out.gguf"
    command = [sys.executable, "-c", program, "--model", str(model), "--out", str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, says in result.stderr) == (10, True), result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not out.exists()


def test_an_unknown_way_to_cut_text_is_refused_and_nothing_is_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, model)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    out = tmp_path / "out"
    assert convert(["--model", str(model), "--out", str(out / "model.gguf")]) == 1
    assert "pre-tokenizer was not recognized" in capfd.readouterr().err
    assert not list(out.iterdir())


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF" + b"\xff" * 64, b"hello" * 100])
def test_a_damaged_gguf_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(StageFailed, match="GGUF unreadable"):
        gguf_file.read(path)
