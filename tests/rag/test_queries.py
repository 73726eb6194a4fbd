"""What becomes of the lines that a model writes when it is asked to rephrase."""

import pytest

from api.errors import BackEndFailed, ModelNotFound, PromptTooLong
from api.rag.queries import queries
from api.runtime import Message
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio
QUESTION = "How long is the warranty?"


async def test_each_line_becomes_a_query_after_the_question() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("What is the warranty period?\nFor how many months is it covered?")
    assert await queries(runtime, "demo", QUESTION, [], 2) == [
        QUESTION,
        "What is the warranty period?",
        "For how many months is it covered?",
    ]


async def test_numbers_bullets_and_quotes_are_taken_off() -> None:
    runtime = FakeRuntime()
    runtime.will_answer('1. "What is covered?"\n- **How many months?**\n(3) Until when?')
    assert (await queries(runtime, "demo", QUESTION, [], 3))[1:] == [
        "What is covered?",
        "How many months?",
        "Until when?",
    ]


async def test_a_number_that_belongs_to_the_question_stays() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("24 months of warranty?")
    assert (await queries(runtime, "demo", QUESTION, [], 1))[1:] == ["24 months of warranty?"]


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
    assert await queries(runtime, "demo", QUESTION, [], 2) == [QUESTION]


@pytest.mark.parametrize("error", [BackEndFailed("gone"), PromptTooLong(9, 8)])
async def test_a_failing_expansion_leaves_the_question_alone(error: Exception) -> None:
    runtime = FakeRuntime()
    runtime.will_answer(error)
    assert await queries(runtime, "demo", QUESTION, [], 2) == [QUESTION]


async def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(ModelNotFound):
        await queries(FakeRuntime(), "nobody", QUESTION, [], 2)


async def test_more_lines_than_asked_for_are_cut() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("\n".join(f"Way number {word}?" for word in ("one", "two", "three")))
    assert len(await queries(runtime, "demo", QUESTION, [], 2)) == 3


async def test_without_expansions_the_model_is_not_asked() -> None:
    runtime = FakeRuntime()
    assert await queries(runtime, "demo", QUESTION, [], 0) == [QUESTION]
    assert runtime.history == []


async def test_a_question_without_words_is_still_asked() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("???")
    assert await queries(runtime, "demo", "???", [], 2) == ["???"]


async def test_the_last_turns_are_shown_in_a_conversation() -> None:
    runtime = FakeRuntime()
    runtime.will_answer("What is the warranty of the Orlo lamp?")
    turns = [
        Message("system", "You are Ada."),
        Message("user", "Warranty of the Vanta heater?"),
        Message("assistant", "24 months [1]."),
    ]
    found = await queries(runtime, "demo", "And of the lamp?", turns, 1)
    assert found == ["What is the warranty of the Orlo lamp?", "And of the lamp?"]
    prompt = runtime.history[0].messages[-1].content
    assert "User: Warranty of the Vanta heater?\nAssistant: 24 months [1]." in prompt
    assert "You are Ada" not in prompt


async def test_without_stand_alone_forms_a_follow_up_is_asked_behind_its_question() -> None:
    runtime = FakeRuntime()
    runtime.will_answer(BackEndFailed("gone"))
    turns = [Message("user", "Warranty of the heater?"), Message("assistant", "24 months.")]
    found = await queries(runtime, "demo", "And of the lamp?", turns, 2)
    assert found == ["And of the lamp?", "Warranty of the heater? And of the lamp?"]
