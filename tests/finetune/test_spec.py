"""`spec.json`: one form a method, with a version, and read by whoever comes later."""

import json
from typing import Any

import pytest

from finetune.job.spec import FineTuneSpec, TrainingParameters, parse_spec

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
    assert isinstance(read, FineTuneSpec)
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
        (spec(method="telepathy"), "method is 'telepathy'; known: sft, pretrain, dpo"),
        (spec(method=["sft"]), "known: sft, pretrain, dpo"),
        (spec(rank=0), "rank"),
        (spec(beta=0.1), "beta"),
        (b"[]", "no JSON object"),
        (b'{"model_name": ', "Expecting value"),
    ],
)
def test_what_cannot_be_read_says_why(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_spec(text)


def test_a_line_break_in_a_template_is_written_as_people_write_it() -> None:
    read = parse_spec(spec(template=r"{question}\n\tA: {answer}\\n", columns="q:prompt"))
    assert read.wish().template == "{question}\n\tA: {answer}\\n"
    assert read.wish().columns == {"q": "prompt"}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("columns", "question", "a column of the file, a colon"),
        ("columns", "question:price", "cannot be 'price'"),
        ("columns", "a:prompt,b:prompt", "Two columns are to be the same"),
        ("columns", "{question: prompt}", "no JSON"),
        ("template", "no column", "names no column"),
        ("template", "{question", "Double a brace"),
        ("template", "{price:>10}", "without a format"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused(field: str, value: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_spec(spec(**{field: value}))


@pytest.mark.parametrize(
    ("held_out", "parameters", "said"),
    [
        (1, {}, "1 held-out row: that tells two apart when they differ by 2.8 times"),
        (31, {}, "by 0.5 times"),
        (31, {"checkpoint": "last"}, None),
        (31, {"checkpoint": 7, "early_stopping": 2}, "by 0.5 times"),
        (32, {}, None),
        (0, {}, None),
    ],
)
def test_few_held_out_rows_leave_a_doubt_of_what_is_chosen_by_them(
    held_out: int, parameters: dict[str, Any], said: str | None
) -> None:
    doubt = TrainingParameters(**parameters).doubt_of_choice(held_out)
    assert doubt is None if said is None else said in str(doubt)
