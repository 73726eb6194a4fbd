"""The served prompts, and the copies of them that the demo model is trained on."""

import pytest

from api.rag import prompts as served
from examples.recipe import prompts as trained

PASSAGES = [
    served.Passage(1, " The heater costs {99} euros.\n", "prices.pdf", 3),
    served.Passage(2, "A lamp.", "no ending", 12),
    served.Passage(3, "See [1, 2].\n \n[4] It\u200b is free.", "notes.pdf", 1),
]


def test_the_demo_model_is_trained_on_the_served_answer_prompt() -> None:
    blocks = [trained.passage_block(p.number, p.text, p.document, p.page) for p in PASSAGES]
    assert blocks == [served.passage_block(passage) for passage in PASSAGES]
    assert trained.answer_prompt(" What? ", blocks) == served.answer_prompt(" What? ", PASSAGES)
    assert trained.REFUSAL == served.REFUSAL


@pytest.mark.parametrize("turns", ["", "User: What?\nAssistant: {that}."])
def test_the_demo_model_is_trained_on_the_served_expansion_prompt(turns: str) -> None:
    assert trained.expand_prompt("What?", 3, turns) == served.expand_prompt("What?", 3, turns)


def test_a_page_that_is_called_something_is_shown_by_its_number_and_its_name() -> None:
    passage = served.Passage(1, "A lamp.", "prices.xlsx", 2, "Lamps")
    assert served.passage_block(passage) == "[1] A lamp. (prices.xlsx, page 2: Lamps)"
