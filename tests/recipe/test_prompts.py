"""The demo model is trained on exactly the forms that are served."""

from contextlib import aclosing

import pytest

from api.rag import prompts as served
from api.runtime import Message, Options, forced_calls
from examples.recipe import prompts as learned
from examples.recipe.tasks import Tasks
from tests.fakes import FakeRuntime

PASSAGES = [
    served.Passage(1, "Parking\nThe parking pass costs 40 euros. ", "handbook.pdf", 2),
    served.Passage(2, "A {brace} and a [3] stay text.", "report_2024", 11),
]


def test_the_answer_prompt_is_the_served_one() -> None:
    blocks = [learned.passage_block(p.number, p.text, p.document, p.page) for p in PASSAGES]
    assert learned.answer_prompt(" How much? ", blocks) == served.answer_prompt(
        " How much? ", PASSAGES
    )


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("turns", ["", "User: Who?\nAssistant: Ada."])
def test_the_expansion_prompt_is_the_served_one(count: int, turns: str) -> None:
    assert learned.expand_prompt("How much?", count, turns) == served.expand_prompt(
        "How much?", count, turns
    )


def test_the_refusal_is_the_served_one() -> None:
    assert learned.REFUSAL == served.REFUSAL


@pytest.mark.anyio
async def test_the_prompt_of_a_demanded_call_is_the_served_one() -> None:
    tools = tuple(one.tool for one in Tasks("prompt").functions.offered(2))
    runtime = FakeRuntime()
    model = await runtime.show("demo")
    turns = [Message("system", "Be kind."), Message("user", "Hello")]
    asked = Options(tools=tools, tool_choice="required")
    async with aclosing(forced_calls.chat(runtime, model, turns, asked)) as pieces:
        assert [piece async for piece in pieces]
    told = learned.forced_prompt(["Be kind."], [tool["function"] for tool in tools])
    assert runtime.history[0].messages[0] == Message("system", told)
