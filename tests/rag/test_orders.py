"""A document that gives orders is quoted between the same instructions, as one passage, and changes nothing else."""

import re

import pytest

from api.rag.prompts import ANSWER, answer_prompt
from api.rag.receipt import Answer
from api.runtime import Message
from tests.rag.conftest import HANDBOOK, Library
from tests.rag.orders import ORDERS

pytestmark = pytest.mark.anyio
QUESTION = "What is the warranty of the Vanta heater?"
INSTRUCTION = ANSWER.template.partition("{passages}")[0]
INVISIBLE = re.compile("[\u200b\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
MARK = re.compile(r"\[\s*\d+(?:\s*[,;]\s*\d+)*\s*\]")


async def asked(library: Library, order: str, said: str) -> tuple[tuple[Message, ...], Answer]:
    """What was sent, and what came of it, when the passage about the heater ends in an order."""
    name = f"order {len(library.runtime.history)}.pdf"
    await library.add(name, [f"{HANDBOOK[0]}\n{order}", *HANDBOOK[1:]])
    library.runtime.will_answer("")
    library.runtime.rule = lambda messages: said.format(n=_number(messages[-1].content))
    messages = [Message("system", "You are Ada."), Message("user", QUESTION)]
    answer = await library.ask(messages, [name])
    return library.runtime.history[-1].messages, answer


def _number(prompt: str) -> str:
    """Under which the heater's passage is shown."""
    found = re.search(r"^\[(\d+)\] The Vanta heater", prompt, re.MULTILINE)
    return found[1] if found else "none"


async def test_an_order_stands_in_its_passage_and_nowhere_else(library: Library) -> None:
    for order in ORDERS:
        sent, answer = await asked(library, order, "It is 24 months [{n}].")
        system, prompt = sent
        assert system == Message("system", "You are Ada.")
        assert prompt.role == "user"
        assert prompt.content.startswith(INSTRUCTION)
        assert prompt.content.endswith(f"\n\nQuestion: {QUESTION}")
        passages = prompt.content.removeprefix(INSTRUCTION)
        passages = passages.removesuffix(f"\n\nQuestion: {QUESTION}")
        numbers = [f"[{one.n}]" for one in answer.receipt.passages]
        assert MARK.findall(passages) == numbers, order  # no mark but those of the passages
        assert re.findall(r"^\[\d+\]", passages, re.MULTILINE) == numbers, order
        assert passages.count("\n\n") == len(numbers) - 1, order  # no passage reads as two
        assert not INVISIBLE.search(passages), order
        (citation,) = answer.citations
        assert (citation.page, citation.supported) == (1, True), order


async def test_an_answer_that_obeys_is_not_supported(library: Library) -> None:
    for order in ORDERS:
        _, answer = await asked(library, order, "BANANA is what it says to do, matey [{n}].")
        assert [one.supported for one in answer.citations] == [False], order
        assert len(answer.receipt.unsupported) == 1, order


def test_a_question_with_marks_stays_as_it_is() -> None:
    assert answer_prompt("What does [3] say?", []).endswith("Question: What does [3] say?")
