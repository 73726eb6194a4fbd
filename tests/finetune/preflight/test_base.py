"""A base is measured from its config and the headers of its weights; what is damaged is named."""

import json
import struct
from pathlib import Path

import pytest

from finetune.job.stage import StageFailed
from finetune.preflight.base import read_base
from tests.finetune.jobs import DEMO_MODEL


def test_a_base_is_measured_from_its_headers() -> None:
    base = read_base(DEMO_MODEL)
    config = json.loads((DEMO_MODEL / "config.json").read_text())
    assert base.layers == config["num_hidden_layers"]
    assert base.parameters == base.linear + config["vocab_size"] * 256 + 256 * (2 * base.layers + 1)
    assert base.bytes < (DEMO_MODEL / "model.safetensors").stat().st_size


def test_of_a_mixture_only_the_chosen_experts_count_for_the_time(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 1, "num_local_experts": 4, "num_experts_per_tok": 1}
    header = {
        "model.layers.0.self_attn.q_proj.weight": {"dtype": "BF16", "shape": [8, 8]},
        "model.layers.0.experts.gate_up.weight": {"dtype": "BF16", "shape": [4, 8, 16]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    base = read_base(tmp_path)
    assert (base.linear, base.active) == (64 + 512, 64 + 128)
    assert base.lora_per_rank == 16 + 4 * 24


@pytest.mark.parametrize("data", [b"", b"abc", struct.pack("<Q", 50) + b'{"a"'])
def test_damaged_weights_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(StageFailed, match=r"model\.safetensors"):
        read_base(tmp_path)


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
        read_base(tmp_path)


def test_a_base_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(StageFailed, match="safetensors"):
        read_base(tmp_path)
