"""The files of an export: made of base and adapter with no merged model between, each once, and nothing left over."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from finetune import gguf_file
from finetune.data.rows import Chat, write_rows
from finetune.export.merged import merged
from finetune.export.safetensors_folder import write
from finetune.export.weights import stored_in
from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.spec import FineTuneSpec, stages_of
from finetune.job.stage import StageFailed, read_spec
from finetune.preflight.base import safetensors_header
from finetune.stages.convert import convert, to_gguf
from finetune.stages.merge import merge
from finetune.stages.quantize import quantize
from finetune.training import leaving
from tests.finetune.export.adapters import by_peft, largest_difference, load, save_adapter
from tests.finetune.jobs import DEMO_MODEL, ROOT, new_job


def trained_job(folder: Path, **parameters: Any) -> JobDirectory:
    """A job on the demo model that has learned something random."""
    (folder / "base").symlink_to(DEMO_MODEL)
    job = new_job(folder / "job", **parameters)
    train = job.stage("train")
    adapter = save_adapter(DEMO_MODEL, train.path / "adapter")
    train.mark_done([adapter / "adapter_config.json", adapter / "adapter_model.safetensors"])
    return job


def tensors(path: Path) -> dict[str, Any]:
    gguf_file.llama_cpp_folder()
    from gguf import GGUFReader

    return {one.name: one.data for one in GGUFReader(path).tensors}


def made(
    job: JobDirectory, *stages: Callable[[JobDirectory, FineTuneSpec, StageDirectory], None]
) -> None:
    for stage in stages:
        stage(job, read_spec(job), job.stage(stage.__name__))


def test_the_gguf_holds_what_the_merged_folder_would_have_given(tmp_path: Path) -> None:
    job = trained_job(tmp_path, keep_merged="true", quantization="q8_0, F16,q8_0")
    made(job, convert, merge, quantize)
    names = {path.relative_to(job.path).as_posix() for path in job.path.rglob("*.gguf")}
    assert names == {
        *("convert/model-f16.gguf", "quantize/model.gguf", "quantize/model-F16.gguf"),
    }
    folder = job.path / "merge"
    to_gguf(folder, tmp_path / "of_folder.gguf", "f16")
    ours, theirs = (
        tensors(job.path / "convert" / "model-f16.gguf"),
        tensors(tmp_path / "of_folder.gguf"),
    )
    assert set(ours) == set(theirs)
    assert all((ours[name] == theirs[name]).all() for name in ours)

    theirs = by_peft(DEMO_MODEL, job.path / "train" / "adapter", tmp_path / "peft")
    auto: Any = AutoModelForCausalLM
    kept = auto.from_pretrained(str(folder)).state_dict()
    assert all(largest_difference(kept[name], tensor) <= 1 for name, tensor in theirs.items())
    assert str(auto.from_pretrained(str(folder)).dtype) == "torch.float16"

    facts = json.loads((job.path / "quantize" / "done.json").read_text())
    assert list(facts["made"]) == ["Q8_0", "F16"]
    assert facts["types"]["Q8_0"] > facts["types"]["F32"]
    assert set(facts["files"]) == {"model.gguf", "model-F16.gguf"}

    job.drop_intermediates()
    assert not (job.path / "convert").exists()
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "tokenizer.json"}
    assert gguf_file.read(job.path / "quantize" / "model-F16.gguf").file_type == 1


def test_a_merged_folder_is_a_stage_only_on_wish(tmp_path: Path) -> None:
    plain, wished = new_job(tmp_path / "a"), new_job(tmp_path / "b", keep_merged=True)
    assert "merge" not in stages_of(read_spec(plain))
    assert "merge" in stages_of(read_spec(wished))


def test_an_adapter_names_its_base_without_the_path_on_this_machine(tmp_path: Path) -> None:
    trained = save_adapter(DEMO_MODEL, tmp_path / "checkpoint")
    config, _ = leaving.adapter(trained, tmp_path)
    assert json.loads(config.read_text())["base_model_name_or_path"] == "demo_model"
    assert str(DEMO_MODEL) in (trained / config.name).read_text()


def test_a_model_trained_whole_is_converted_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to(DEMO_MODEL)
    job = new_job(tmp_path / "job")
    train = job.stage("train")
    model = load(DEMO_MODEL)
    model.model.norm.weight.data += 1
    model.save_pretrained(str(train.path / "model"))
    train.mark_done([train.path / "model" / "config.json"])
    made(job, convert)
    norm = tensors(job.path / "convert" / "model-f16.gguf")["output_norm.weight"]
    assert abs(norm - model.model.norm.weight.detach().numpy()).max() == 0


def test_what_a_broken_off_attempt_left_is_taken_away(tmp_path: Path) -> None:
    job = trained_job(tmp_path)
    for stage, name in (("convert", ".model-f16.gguf.7.tmp"), ("quantize", ".model.gguf.tmp")):
        (job.stage(stage).path / name).write_bytes(b"half")
        (job.stage(stage).path / ".model.x").mkdir()
    made(job, convert, quantize)
    left = {path.name for stage in ("convert", "quantize") for path in (job.path / stage).iterdir()}
    assert left == {"done.json", "model-f16.gguf", "model.gguf"}


def test_a_file_is_hashed_again_only_when_it_was_written_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = new_job(tmp_path / "job").stage("quantize")
    file = stage.path / "model.gguf"
    file.write_bytes(b"weights")
    stage.mark_done([file])
    hashed: list[Path] = []

    def another(path: Path) -> str:
        hashed.append(path)
        return "another"

    monkeypatch.setattr("finetune.job.directory.sha256_of", another)
    assert stage.done() is not None
    assert not hashed
    file.write_bytes(b"weighed")
    assert stage.done() is None
    assert hashed == [file]


def test_large_models_are_written_in_several_files_with_an_index(tmp_path: Path) -> None:
    adapter = save_adapter(DEMO_MODEL, tmp_path / "adapter")
    weights = merged(DEMO_MODEL, adapter).weights
    out = tmp_path / "out"
    out.mkdir()
    files = write(out, weights, shard_bytes=2**20)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert len(files) > 3
    assert index["metadata"]["total_size"] == sum(
        entry["data_offsets"][1] - entry["data_offsets"][0]
        for path in files[:-1]
        for entry in safetensors_header(path)[1].values()
    )
    read = {one.name: one for one in stored_in(out)}
    assert {name: read[name].path.name for name in read} == index["weight_map"]
    assert all(largest_difference(read[one.name].whole(), one.load()) == 0 for one in weights)


def programs(folder: Path, *scripts: tuple[str, str]) -> str:
    """A folder of programs, before the PATH."""
    folder.mkdir()
    for name, script in scripts:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_an_importance_matrix_is_measured_on_the_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trained_job(tmp_path, importance_matrix=True, quantization="f16,Q4_K_M")
    made(job, convert)
    data = job.stage("dataset")
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Arr."}]
    write_rows(data.path / "train.jsonl", [Chat(2, turns)])
    data.mark_done([data.path / "train.jsonl"])
    path = programs(
        tmp_path / "bin",
        ("llama-imatrix", f'cp "$4" {tmp_path}/rows.txt; echo weighed > "$6"'),
        ("llama-quantize", f'echo "$@" > {tmp_path}/asked; echo no matrix >&2; exit 1'),
    )
    monkeypatch.setenv("PATH", path)
    with pytest.raises(StageFailed, match="llama-quantize: no matrix"):
        made(job, quantize)
    assert "Who?" in (tmp_path / "rows.txt").read_text()
    asked = (tmp_path / "asked").read_text().split()
    assert (asked[0], asked[-2]) == ("--imatrix", "Q4_K_M")


def test_an_importance_matrix_without_its_programs_is_refused_by_their_names(
    tmp_path: Path,
) -> None:
    job = trained_job(tmp_path, importance_matrix=True)
    result = subprocess.run(
        [sys.executable, "-m", "finetune", str(job.path)],
        cwd=ROOT,
        env={"PATH": programs(tmp_path / "bin", ("llama-quantize", "exit 0"))},
    )
    outcome = job.outcome()
    assert outcome is not None
    assert result.returncode == 1
    assert "needs llama-imatrix on the PATH" in outcome["error"]["detail"]
    assert not (job.path / "dataset").exists()
