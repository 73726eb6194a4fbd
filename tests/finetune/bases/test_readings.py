"""What a base's files are read as: the cures that each family needs, one by one."""

import json
from pathlib import Path

import pytest

from finetune.bases import tokenizer_files
from finetune.bases.sentencepiece import model_of, tokenizer_of
from finetune.checks.samples import TEXTS
from finetune.tokenizer import as_read, end_marks, ids, load_tokenizer, marks_of, render
from tests.finetune.bases.forms import make

SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "Hi"}


def test_a_template_with_a_date_of_its_own_keeps_it(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make("llama-3.1-instruct", tmp_path / "base"))
    assert str(tokenizer.chat_template).startswith('{%- set date_string = "26 Jul 2024" %}')
    rendered = tokenizer.apply_chat_template([ASKED], tokenize=False, date_string="01 Jan 2030")
    assert "26 Jul 2024" in str(rendered)
    assert "2030" not in str(rendered)


def test_a_template_that_asks_for_the_day_still_does(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make("llama-3.2-instruct", tmp_path / "base"))
    assert not str(tokenizer.chat_template).startswith("{%- set date_string")


@pytest.mark.parametrize("name", ["tinyllama", "mistral-instruct", "mistral-model-alone"])
def test_the_spaces_that_a_text_begins_with_are_kept(tmp_path: Path, name: str) -> None:
    tokenizer = load_tokenizer(make(name, tmp_path / "base"))
    first = tokenizer.convert_ids_to_tokens(ids(tokenizer, "  a"))[0]
    assert str(first).startswith("\u2581\u2581")


def test_sentencepiece_and_tokenizer_json_are_made_of_each_other(tmp_path: Path) -> None:
    folder = make("mistral-base", tmp_path / "base")
    made = tokenizer_of(folder / "tokenizer.model", True, {})
    written = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    assert made["model"]["vocab"] == written["model"]["vocab"]
    (tmp_path / "again.model").write_bytes(model_of(written))
    again = tokenizer_of(tmp_path / "again.model", True, {})
    for content in (made, again):
        (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
        anew = tokenizer_files.read(folder)
        (folder / "tokenizer.json").write_text(json.dumps(written), "utf-8")
        as_written = tokenizer_files.read(folder)
        assert [ids(anew, text) for text in TEXTS] == [ids(as_written, text) for text in TEXTS]


def test_a_system_turn_goes_into_the_next_where_the_template_knows_none(tmp_path: Path) -> None:
    without = load_tokenizer(make("gemma-2-it", tmp_path / "gemma"))
    assert as_read(without, [SYSTEM, ASKED]) == [{"role": "user", "content": "Be brief.\nHi"}]
    answer = {"role": "assistant", "content": "Ho"}
    assert as_read(without, [SYSTEM, answer]) == [{**SYSTEM, "role": "user"}, answer]
    assert "Be brief.\nHi" in render(without, [SYSTEM, ASKED], prompt=True)
    knows = load_tokenizer(make("qwen-2.5-instruct", tmp_path / "qwen"))
    assert as_read(knows, [SYSTEM, ASKED]) == [SYSTEM, ASKED]


def test_rows_come_into_the_unicode_form_of_the_tokenizer(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    turn = {"role": "user", "content": apart}
    normal = load_tokenizer(make("qwen-3-thinking", tmp_path / "qwen"))
    assert as_read(normal, [turn]) == [{"role": "user", "content": composed}]
    plain = load_tokenizer(make("gpt-2", tmp_path / "gpt2"))
    assert as_read(plain, [turn]) == [turn]


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("end-in-generation-config", ["<|over|>", "<|endoftext|>"]),
        ("gemma-3-it", ["<end_of_turn>", "<eos>"]),
        ("llama-3.1-instruct", ["<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"]),
        ("gpt-2", ["<|endoftext|>"]),
    ],
)
def test_an_answer_ends_where_template_and_generation_config_say(
    tmp_path: Path, name: str, ends: list[str]
) -> None:
    folder = make(name, tmp_path / "base")
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(end_marks(tokenizer, folder)) == ends


@pytest.mark.parametrize(("name", "begins"), [("smollm-3", False), ("llama-3-base", True)])
def test_whether_a_prompt_begins_with_a_mark_is_the_tokenizers_say(
    tmp_path: Path, name: str, begins: bool
) -> None:
    folder = make(name, tmp_path / "base")
    assert marks_of(load_tokenizer(folder), folder).begins is begins


def test_marks_that_class_or_configuration_name_are_found(tmp_path: Path) -> None:
    folder = make("gpt-2", tmp_path / "base")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1024}', "utf-8")
    assert load_tokenizer(folder).eos_token == "<|endoftext|>"
