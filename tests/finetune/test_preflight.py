"""What cannot fit is refused before training, with numbers."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed
from finetune.training import preflight
from tests.finetune.jobs import DEMO_MODEL

SPEC = FineTuneSpec.model_validate(
    {"model_name": "tuned", "base_model": "demo", "base_model_folder": "../base"}
)
SEVEN_B = preflight.Base(
    parameters=7_242_000_000,
    linear=6_979_000_000,
    lora_per_rank=2_600_000,
    layers=32,
    hidden=4096,
    vocabulary=32_000,
    bytes=14_483_000_000,
)


def test_a_base_is_measured_from_its_headers() -> None:
    base = preflight.read_base(DEMO_MODEL)
    config = json.loads((DEMO_MODEL / "config.json").read_text())
    assert base.layers == config["num_hidden_layers"]
    assert base.parameters == base.linear + config["vocab_size"] * 256 + 256 * (2 * base.layers + 1)
    assert base.bytes < (DEMO_MODEL / "model.safetensors").stat().st_size


def test_four_bits_take_about_a_quarter() -> None:
    four = preflight.estimate(SEVEN_B, SPEC, 1024, 2)
    sixteen = preflight.estimate(SEVEN_B, SPEC.model_copy(update={"bits": 16}), 1024, 2)
    assert 3.5 < four.weights / preflight.GIB < 5
    assert 13 < sixteen.weights / preflight.GIB < 14
    assert four.adapter == sixteen.adapter


def test_too_little_memory_is_refused_with_both_numbers(tmp_path: Path) -> None:
    needed = preflight.estimate(SEVEN_B, SPEC, 1024, 2)
    with pytest.raises(StageFailed, match=r"need .* GiB on the GPU, 2\.00 GiB are free"):
        preflight.check(tmp_path, SEVEN_B, needed, device="cuda", device_free=2 * preflight.GIB)


def test_what_may_not_fit_is_a_warning(tmp_path: Path) -> None:
    needed = preflight.estimate(SEVEN_B, SPEC, 1024, 2)
    small = replace(needed, merge_memory=0, disk=0)
    free = small.weights + small.adapter + 1
    (warning,) = preflight.check(tmp_path, SEVEN_B, small, device="cuda", device_free=free)
    assert "batch_size" in warning["detail"]
    assert not preflight.check(tmp_path, SEVEN_B, small, device="cuda", device_free=2**50)


def test_too_little_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="Not enough disk"):
        preflight.require_disk(tmp_path, 2**60)


@pytest.mark.parametrize("data", [b"", b"abc", struct.pack("<Q", 50) + b'{"a"'])
def test_damaged_weights_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(StageFailed, match=r"model\.safetensors"):
        preflight.read_base(tmp_path)


@pytest.mark.parametrize(
    ("config", "header"),
    [
        ({"num_hidden_layers": None}, {"a": {"dtype": "F32", "shape": [1]}}),
        ({"text_config": None}, {"a": {"dtype": "F32", "shape": [1]}}),
        ({}, {"a": {"dtype": "F32"}}),
        ({}, [1]),
    ],
)
def test_a_base_that_says_what_it_should_not_is_refused(
    tmp_path: Path, config: object, header: object
) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(StageFailed, match="Base model damaged"):
        preflight.read_base(tmp_path)


def test_a_base_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(StageFailed, match="safetensors"):
        preflight.read_base(tmp_path)
