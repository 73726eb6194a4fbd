"""Files that say something else of themselves than the training's tokenizer does: each is caught by name."""

from pathlib import Path
from typing import Any

import pytest

from finetune.gguf_file import Contents
from tests.finetune.faults.conftest import Bench
from tests.finetune.faults.spoiling import rewritten

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

TEMPLATE, TOKENS = "tokenizer.chat_template", "tokenizer.ggml.tokens"
TYPES, MERGES = "tokenizer.ggml.token_type", "tokenizer.ggml.merges"


def said(bench: Bench, name: str) -> Any:
    return Contents(bench.exact).field(name)


def exchanged(values: list[Any], one: int, other: int) -> list[Any]:
    values[one], values[other] = values[other], values[one]
    return values


def template_that_differs(bench: Bench, condition: str) -> dict[str, Any]:
    text = said(bench, TEMPLATE)
    return {TEMPLATE: f"{text}{{% if {condition} %}}!{{% endif %}}"}


def spoiled(bench: Bench, kind: str) -> dict[str, Any]:
    match kind:
        case "template of long conversations":
            return template_that_differs(bench, "messages | length > 60")
        case "template on one word":
            return template_that_differs(bench, "'rhubarb' in messages[-1]['content']")
        case "template always":
            return {TEMPLATE: said(bench, TEMPLATE).replace("assistant", "helper")}
        case "rare tokens exchanged":
            return {TOKENS: exchanged(said(bench, TOKENS), 1400, 1401)}
        case "a mark that is plain text":
            return {
                TYPES: [
                    1 if number == 2 else kind for number, kind in enumerate(said(bench, TYPES))
                ]
            }
        case "rules of joining in another order":
            return {MERGES: exchanged(said(bench, MERGES), 1000, 1001)}
        case "another end token":
            return {"tokenizer.ggml.eos_token_id": 1}
        case "no begin token":
            return {"tokenizer.ggml.add_bos_token": False}
    raise AssertionError(kind)


FAULTS = {
    "template of long conversations": "The GGUF has another chat template",
    "template on one word": "The GGUF has another chat template",
    "template always": "The GGUF has another chat template",
    "rare tokens exchanged": "The GGUF has another vocabulary",
    "a mark that is plain text": "The GGUF has lost a mark",
    "rules of joining in another order": "The GGUF cuts text into other tokens",
    "another end token": "The GGUF has other marks",
    "no begin token": "The GGUF has other marks",
}


@pytest.mark.parametrize(("kind", "title"), FAULTS.items(), ids=list(FAULTS))
def test_it_is_caught(bench: Bench, kind: str, title: str) -> None:
    target = rewritten(bench.exact, bench.folder / "said.gguf", fields=spoiled(bench, kind))
    first, *_ = bench.read(target)
    assert first.title == title


def test_a_lost_template_is_caught(bench: Bench) -> None:
    target = rewritten(bench.exact, bench.folder / "said.gguf", without=(TEMPLATE,))
    assert bench.read(target)[0].title == "The GGUF has no chat template"


def test_lost_tokens_are_caught(bench: Bench) -> None:
    names = (TOKENS, TYPES)
    fewer = {name: said(bench, name)[:1500] for name in names}
    target = rewritten(bench.exact, bench.folder / "said.gguf", fields=fewer)
    assert bench.read(target)[0].title == "The GGUF has lost tokens"


def test_another_rope_is_caught(bench: Bench) -> None:
    other = {"llama.rope.freq_base": 500_000.0}
    target = rewritten(bench.exact, bench.folder / "said.gguf", fields=other)
    assert bench.exact_against_the_trained(target)[0].title == "The GGUF speaks differently"


def test_a_cut_file_is_caught(bench: Bench, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    data = bench.exact.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    assert bench.read(cut)[0].title in ("GGUF unreadable", "The GGUF does not load")


def test_the_good_file_is_not_refused(bench: Bench) -> None:
    assert bench.read(bench.exact) == []
