"""`spec.json`: one form a method, with a version, and read by whoever comes later."""

import json
import re
from pathlib import Path

import pytest

from finetune.job.spec import FineTuneSpec, SftSpec, parse_spec, stages_of

EARLIER = """{
 "bits": 16, "quantization": "Q8_0", "rank": 8, "lora_alpha": 16, "lora_dropout": 0.0,
 "learning_rate": 0.001, "epochs": 2.0, "batch_size": 4, "gradient_accumulation_steps": null,
 "gradient_checkpointing": true, "packing": false, "max_length": 256, "warmup_ratio": 0.03,
 "seed": 42, "checkpoint_steps": null, "model_name": "pirate", "base_model": "demo",
 "base_model_folder": "../../base_models/demo"
}"""
"""As the first release wrote it: without version and method."""


def spec(**changes: object) -> bytes:
    return json.dumps(json.loads(EARLIER) | changes).encode()


def test_a_specification_without_version_and_method_is_supervised_and_of_version_1() -> None:
    read = parse_spec(EARLIER.encode())
    assert isinstance(read, SftSpec)
    assert (read.version, read.method, read.model_name, read.rank) == (1, "sft", "pirate", 8)


def test_what_is_written_says_its_version_and_method_and_is_read_back() -> None:
    written: FineTuneSpec = parse_spec(EARLIER.encode())
    content = json.loads(written.model_dump_json())
    assert (content["version"], content["method"]) == (1, "sft")
    assert parse_spec(json.dumps(content).encode()) == written


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (spec(version=2), "version is 2; known: 1"),
        (spec(method="telepathy"), "method is 'telepathy'; known: sft"),
        (spec(method=["sft"]), "known: sft"),
        (spec(rank=0), "rank"),
        (spec(beta=0.1), "beta"),
        (b"[]", "no JSON object"),
        (b'{"model_name": ', "Expecting value"),
    ],
)
def test_what_cannot_be_read_says_why(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_spec(text)


def test_no_code_takes_the_union_of_the_methods_for_the_class_of_one() -> None:
    root = Path(__file__).parents[2]
    files = [*(root / "api").rglob("*.py"), *(root / "finetune").rglob("*.py")]
    assert len(files) > 100
    found = [path for path in files if re.search(r"FineTuneSpec[.(]", path.read_text("utf-8"))]
    assert not found


def test_a_supervised_run_ends_with_the_file_that_was_verified() -> None:
    stages = stages_of(parse_spec(EARLIER.encode()))
    assert stages == ("dataset", "train", "merge", "convert", "quantize", "verify")
