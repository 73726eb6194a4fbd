"""What becomes of the lines that a model writes when it is asked to rephrase."""

import pytest

from api.errors import BackEndFailed, ModelNotFound, PromptTooLong
from api.rag.drift import drifted
from api.rag.queries import Dropped, queries
from api.runtime import Message
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio
QUESTION = "How long is the warranty?"


async def found(
    runtime: FakeRuntime, model: str, question: str, turns: list[Message], count: int
) -> list[str]:
    return list((await queries(runtime, model, question, turns, count)).texts)


async def test_each_line_becomes_a_query_after_the_question() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("What is the warranty period?\nFor how many months is it covered?")
    assert await found(runtime, "demo", QUESTION, [], 2) == [
        QUESTION,
        "What is the warranty period?",
        "For how many months is it covered?",
    ]


async def test_numbers_bullets_and_quotes_are_taken_off() -> None:
    runtime = FakeRuntime()
    runtime.will_answer('1. "What is covered?"\n- **How many months?**\n(3) Until when?')
    assert (await found(runtime, "demo", QUESTION, [], 3))[1:] == [
        "What is covered?",
        "How many months?",
        "Until when?",
    ]


async def test_a_number_that_belongs_to_the_question_stays() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("24 months of warranty?")
    question = "Is it covered for 24 months?"
    assert (await found(runtime, "demo", question, [], 1))[1:] == ["24 months of warranty?"]


@pytest.mark.parametrize(
    "useless",
    [
        "",
        "\n\n  \n",
        "how long is the WARRANTY",
        "Write 2 other ways to ask the question below, one a line and nothing else.",
        "Sure, here are some:",
        "word " * 200,
        "...\n?!",
    ],
)
async def test_useless_lines_leave_the_question_alone(useless: str) -> None:
    runtime = FakeRuntime()
    runtime.will_answer(useless)
    assert await found(runtime, "demo", QUESTION, [], 2) == [QUESTION]


@pytest.mark.parametrize("error", [BackEndFailed("gone"), PromptTooLong(9, 8)])
async def test_a_failing_expansion_leaves_the_question_alone(error: Exception) -> None:
    runtime = FakeRuntime()
    runtime.will_answer(error)
    assert await found(runtime, "demo", QUESTION, [], 2) == [QUESTION]


async def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(ModelNotFound):
        await found(FakeRuntime(), "nobody", QUESTION, [], 2)


async def test_more_lines_than_asked_for_are_cut() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("\n".join(f"Way number {word}?" for word in ("a", "b", "c")))
    assert len(await found(runtime, "demo", QUESTION, [], 2)) == 3


async def test_without_expansions_the_model_is_not_asked() -> None:
    runtime = FakeRuntime()
    assert await found(runtime, "demo", QUESTION, [], 0) == [QUESTION]
    assert runtime.history == []


async def test_a_question_without_words_is_still_asked() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("???")
    assert await found(runtime, "demo", "???", [], 2) == ["???"]


async def test_the_last_turns_are_shown_in_a_conversation() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("What is the warranty of the Orlo lamp?")
    turns = [
        Message("system", "You are Ada."),
        Message("user", "Warranty of the Vanta heater?"),
        Message("assistant", "24 months [1]."),
    ]
    asked = await found(runtime, "demo", "And of the lamp?", turns, 1)
    assert asked == ["What is the warranty of the Orlo lamp?", "And of the lamp?"]
    prompt = runtime.history[0].messages[-1].content
    assert "User: Warranty of the Vanta heater?\nAssistant: 24 months [1]." in prompt
    assert "You are Ada" not in prompt


async def test_without_stand_alone_forms_a_follow_up_is_asked_behind_its_question() -> None:
    runtime = FakeRuntime()
    runtime.will_answer(BackEndFailed("gone"))
    turns = [Message("user", "Warranty of the heater?"), Message("assistant", "24 months.")]
    asked = await found(runtime, "demo", "And of the lamp?", turns, 2)
    assert asked == ["And of the lamp?", "Warranty of the heater? And of the lamp?"]


async def test_a_rephrasing_that_leads_away_is_dropped_and_the_rest_is_searched() -> None:
    runtime = FakeRuntime()
    runtime.will_answer(
        "What does the Orlo lamp cost?\nHow long is the heater covered?\nIs Vanta sold for 30 euros?"
    )
    question = "What is the warranty of the Vanta heater?"
    asked = await queries(runtime, "demo", question, [], 3)
    assert asked.texts == (question, "How long is the heater covered?")
    assert asked.dropped == (
        Dropped("What does the Orlo lamp cost?", "loses the name vanta"),
        Dropped("Is Vanta sold for 30 euros?", "adds the number 30"),
    )


@pytest.mark.parametrize(
    ("question", "way", "reason"),
    [
        ("What was the profit in 2021?", "How much did they earn in 2022?", "adds the number 2022"),
        ("What was the profit in 2021?", "What did they earn?", "loses the number"),
        ("What was the profit in 2021?", "How much was earned in 2021?", ""),
        ("Who sells the KX-204?", "Who sells the machine?", "loses the number 204"),
        ("Who sells the KX-204?", "Where is the KX-204 sold?", ""),
        ("How long is it covered?", "For how many months is the warranty?", ""),
        ("And for the second one?", "What does the Orlo lamp cost?", ""),
        ("who leads ada?", "Is Ada led by one person?", ""),
    ],
)
def test_names_and_numbers_stay_as_they_are(question: str, way: str, reason: str) -> None:
    assert drifted(question, [way])[way].startswith(reason)
    assert bool(drifted(question, [way])[way]) is bool(reason)


def test_what_the_conversation_said_may_stand_in_a_rephrasing() -> None:
    way = "What was the profit of Vanta in 2021?"
    assert drifted("And the profit?", [way])[way] == "adds the number 2021"
    assert not drifted("And the profit?", [way], "What did Vanta earn in 2021?")[way]
