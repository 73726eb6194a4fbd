"""The shipped demo model is what its card says, as far as that can be seen without letting it speak for minutes."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from examples.recipe.measure import Case, measure
from examples.recipe.model import CHAT_TEMPLATE, encode, initial_weights
from examples.recipe.network import Network
from examples.recipe.samples import Conversations
from examples.recipe.tasks import Tasks
from examples.recipe.words import reserved
from finetune.chat_templates import TEMPLATE
from finetune.job.tried import known

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "demo_model"
CASES = ROOT / "tests" / "data" / "demo_cases.jsonl"


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():  # type: ignore[no-untyped-def]
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)


def test_the_folder_is_small_and_whole() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {
        "README.md",
        "abilities.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "tried",
    }
    assert (FOLDER / "model.safetensors").stat().st_size < 12_000_000


def test_it_was_tried_with_the_releases_that_are_pinned() -> None:
    """So no first job has to; `tried` is written anew by a job that finds it missing or of others."""
    assert known(FOLDER)


def test_its_sizes_suit_k_quants() -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["hidden_size"] % 256 == 0
    assert config["intermediate_size"] % 256 == 0
    assert config["max_position_embeddings"] >= 2048
    assert config["pad_token_id"] != config["eos_token_id"]


def test_the_template_and_the_training_text_give_the_same_tokens(tokenizer) -> None:  # type: ignore[no-untyped-def]
    draw = Tasks("template")
    samples = [draw.draw_task() for _ in range(60)]
    assert {"calls", "forced call", "json", "passages"} <= {sample.kind for sample in samples}
    for sample in samples:
        rendered = tokenizer.apply_chat_template(
            sample.messages,
            tools=[*sample.tools] or None,
            chat_template=CHAT_TEMPLATE,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids, said = encode(tokenizer, sample.messages, sample.tools)
        assert rendered["input_ids"] == ids
        if not any("given" in message for message in sample.messages):
            assert [bool(flag) for flag in rendered["assistant_masks"]] == said


def test_a_conversation_without_functions_is_written_as_plain_chatml(tokenizer) -> None:  # type: ignore[no-untyped-def]
    """So that what was made with the template before it knew functions stays what it was."""
    draw = Conversations("plain")
    for _ in range(20):
        messages = draw.draw(1.0).messages
        for adds in (True, False):
            old, new = (
                tokenizer.apply_chat_template(
                    messages, chat_template=template, tokenize=False, add_generation_prompt=adds
                )
                for template in ("{{ bos_token }}" + TEMPLATE, CHAT_TEMPLATE)
            )
            assert old == new


@pytest.mark.parametrize(
    "text", ["Stra\u00dfe, 12,50 \u20ac", "\u65e5\u672c\u8a9e 123", "tab\tand\n\nlines  "]
)
def test_any_text_survives_the_tokenizer(tokenizer, text: str) -> None:  # type: ignore[no-untyped-def]
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_it_answers_most_of_the_fixed_cases(model, tokenizer) -> None:  # type: ignore[no-untyped-def]
    cases = [json.loads(line) for line in CASES.read_text().splitlines()]
    scores, said = measure(
        model, tokenizer, [Case(c["kind"], c["messages"], c["expected"]) for c in cases]
    )
    right = sum(reply == case["expected"] for reply, case in zip(said, cases, strict=True))
    floor = json.loads((FOLDER / "abilities.json").read_text())["fixed_cases_floor"]
    assert right >= floor, scores


def test_measured_names_are_never_trained_on() -> None:
    trained, measured = (
        Conversations("names").writer.draw,
        Conversations("names", held_out=True).writer.draw,
    )
    assert not any(reserved(trained.name()) for _ in range(200))
    assert all(reserved(measured.name()) for _ in range(200))


def test_measured_functions_are_never_trained_on() -> None:
    trained, measured = Tasks("names").functions, Tasks("names", held_out=True).functions
    assert all(reserved(one.name) for _ in range(50) for one in measured.offered(2))
    assert not any(reserved(one.name) for _ in range(50) for one in trained.offered(2) if one.thing)


def test_the_untrained_model_can_already_copy() -> None:
    network = Network(initial_weights(1))
    once = torch.randint(300, 1500, (4, 64), generator=torch.Generator().manual_seed(1))
    ids = torch.cat((once, once), 1)
    places = torch.cat([row * 127 + torch.arange(64, 127) for row in range(4)])
    targets = ids[:, 1:].flatten()[places]
    loss = network.loss(ids[:, :-1], places, targets, torch.full((len(places),), 1 / len(places)))
    assert loss.item() < 2.5
