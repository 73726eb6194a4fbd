"""Answers over documents: events, budget, citations, receipt, conversations."""

import pytest

from api.errors import BackEndFailed, DocumentNotFound, ModelNotFound, PromptTooLong
from api.rag.prompts import REFUSAL
from api.rag.receipt import Citation, Done, Receipt, Retrieved, Token
from api.runtime import ExistingModel, Message, Options, Persona
from tests.fakes import BreaksOff
from tests.rag.conftest import ASKED, HANDBOOK, Library

pytestmark = pytest.mark.anyio


async def test_what_was_found_comes_first_then_tokens_citations_the_receipt_and_the_end(
    library: Library,
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("How long is it covered?", "It is 24 months [1].")
    events = await library.events()
    kinds = [type(event) for event in events]
    assert kinds == [Retrieved] + [Token] * 5 + [Citation, Receipt, Done]
    assert isinstance(events[0], Retrieved)
    assert events[0].queries == (ASKED[0].content,)
    assert {hit.document for hit in events[0].hits} == {"handbook.pdf"}
    assert "".join(e.text for e in events if isinstance(e, Token)) == "It is 24 months [1]."


async def test_a_citation_quotes_its_page(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", "It is 24 months [1].")
    answer = await library.ask(documents=["handbook"])
    (citation,) = answer.citations
    assert citation.document == "handbook.pdf"
    assert citation.page == 1
    assert citation.quote == "The Vanta heater has a warranty of 24 months."


async def test_the_receipt_says_what_was_asked_used_and_left_out(library: Library) -> None:
    await library.add("handbook.pdf", [*HANDBOOK, "The cat sleeps.", "Rain falls on the roof."])
    library.runtime.will_answer("How long is the heater covered?", "24 months [1] [9].")
    answer = await library.ask()
    receipt = answer.receipt
    assert receipt.queries == (ASKED[0].content, "How long is the heater covered?")
    assert [passage.n for passage in receipt.passages] == [1, 2, 3]
    assert receipt.passages[0].page == 1
    assert {found.query for found in receipt.passages[0].found_by} == set(receipt.queries)
    assert all(passage.tokens > 5 for passage in receipt.passages)
    assert {left.reason for left in receipt.left_out} == {"rank"}
    assert len(receipt.left_out) == 2
    assert receipt.unknown_markers == (9,)
    assert receipt.tokens.prompt == answer.done.prompt_tokens
    assert not receipt.refused


async def test_the_prompt_numbers_the_passages_with_their_pages(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", "24 months [1].")
    await library.events()
    prompt = library.runtime.history[-1].messages[-1].content
    assert f"[1] {HANDBOOK[0]} (handbook, page 1)" in prompt
    assert prompt.endswith("Question: What is the warranty of the Vanta heater?")


async def test_passages_without_room_are_left_out_and_said_so(library: Library) -> None:
    long = "The Vanta heater warranty " + "is explained at length " * 60
    await library.add("handbook.pdf", [HANDBOOK[0], long])
    library.runtime.will_answer("", "24 months [1].")
    answer = await library.ask(context_length=256, max_answer_tokens=100)
    assert [passage.page for passage in answer.receipt.passages] == [1]
    assert [(left.page, left.reason) for left in answer.receipt.left_out] == [(2, "no room")]
    assert answer.receipt.tokens.context == 256
    assert answer.receipt.tokens.reserved_for_answer == 64


async def test_a_question_that_leaves_no_room_is_refused_with_both_numbers(
    library: Library,
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("")
    long = [Message("user", "warranty " * 500)]
    with pytest.raises(PromptTooLong, match=r"beside an answer of 64.* raise num_ctx") as caught:
        await library.ask(long, context_length=256)
    assert caught.value.extra["prompt_tokens"] > caught.value.extra["limit_tokens"] == 192


async def test_the_longest_answer_asked_for_is_reserved(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", "24 months [1].")
    answer = await library.ask(options=Options(max_tokens=777))
    assert answer.receipt.tokens.reserved_for_answer == 777
    assert library.runtime.history[-1].options.max_tokens == 777


@pytest.mark.parametrize("documents", [[], ["*"]], ids=["plain", "documents"])
@pytest.mark.parametrize(
    "options", [Options(), Options(max_tokens=70), Options(num_ctx=400)], ids=["", "max", "ctx"]
)
async def test_the_receipt_adds_up(
    library: Library, documents: list[str], options: Options
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer(*([""] * len(documents)), "word " * 5000)
    answer = await library.ask(
        documents=documents, options=options, context_length=1000, max_answer_tokens=2000
    )
    tokens = answer.receipt.tokens
    assert tokens.context == (options.num_ctx or 1000)
    assert tokens.prompt + tokens.reserved_for_answer <= tokens.context
    assert tokens.completion == tokens.reserved_for_answer  # an answer without end takes it all
    assert sum(passage.tokens for passage in answer.receipt.passages) <= tokens.prompt
    assert answer.done.finish_reason == "length"


async def test_the_length_of_a_persona_leaves_room_for_passages(library: Library) -> None:
    persona = Persona(parameters=Options(max_tokens=4000))
    await library.runtime.create_model("wordy", ExistingModel("demo"), persona)
    await library.add("wordy.pdf", HANDBOOK, model="wordy")
    library.runtime.will_answer("", "24 months [1].")
    answer = await library.ask(model="wordy")
    assert len(answer.receipt.passages) == 3
    assert answer.receipt.tokens.reserved_for_answer == 2048


async def test_one_passage_that_is_too_long_keeps_no_other_out(library: Library) -> None:
    long = "The Vanta heater warranty " * 75
    await library.add("handbook.pdf", [long, HANDBOOK[0]])
    library.runtime.will_answer("", "24 months [1].")
    answer = await library.ask(
        [Message("user", "Vanta heater warranty")], context_length=256, max_answer_tokens=100
    )
    assert [passage.page for passage in answer.receipt.passages] == [2]
    assert [(left.page, left.reason) for left in answer.receipt.left_out] == [(1, "no room")]


async def test_passages_that_are_all_too_long_are_refused_with_both_numbers(
    library: Library,
) -> None:
    await library.add("handbook.pdf", [f"The Vanta {n} heater warranty " * 60 for n in "ab"])
    with pytest.raises(PromptTooLong) as caught:
        await library.ask(context_length=256)
    assert caught.value.extra["prompt_tokens"] > caught.value.extra["limit_tokens"] == 192


async def test_answers_from_documents_are_greedy_unless_asked_otherwise(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    await library.runtime.create_model(
        "bold", ExistingModel("demo"), Persona(parameters=Options(temperature=1.5))
    )
    await library.add("bold.pdf", HANDBOOK, model="bold")
    used = []
    for model, options in (
        ("demo", Options()),
        ("demo", Options(temperature=0.7)),
        ("bold", Options()),
    ):
        library.runtime.will_answer("", "24 [1]")
        await library.ask(options=options, model=model)
        used.append(library.runtime.history[-1].options.temperature)
    assert used == [0, 0.7, 1.5]


async def test_a_refusal_is_known_as_one_and_cites_nothing(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", f"{REFUSAL} [1]")
    answer = await library.ask()
    assert answer.receipt.refused
    assert answer.citations == ()


async def test_without_any_passage_the_model_is_not_asked(library: Library) -> None:
    library.runtime.will_answer("")
    answer = await library.ask()
    assert answer.message == REFUSAL
    assert answer.receipt.refused
    assert answer.receipt.passages == ()
    assert len(library.runtime.history) == 1


async def test_plain_chat_asks_nothing_but_the_conversation(library: Library) -> None:
    library.runtime.will_answer("Hello there")
    answer = await library.ask(documents=[])
    assert answer.message == "Hello there"
    assert library.runtime.history[0].messages == ASKED
    assert answer.receipt.queries == ()
    assert answer.receipt.tokens.completion == 2


async def test_a_follow_up_is_searched_in_its_stand_alone_form(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    conversation = [
        *ASKED,
        Message("assistant", "24 months [1]."),
        Message("user", "And for the second one?"),
    ]
    library.runtime.will_answer(
        "What is the warranty of the Orlo lamp?\nHow long is the Orlo lamp under warranty?",
        "It is 36 months [1].",
    )
    answer = await library.ask(conversation)
    (citation,) = answer.citations
    assert (citation.page, "36 months" in citation.quote) == (2, True)
    asked = library.runtime.history[-1].messages
    assert list(asked[:2]) == conversation[:2]
    assert asked[-1].content.endswith("Question: And for the second one?")
    assert answer.receipt.turns_left_out == 0


async def test_earlier_turns_give_way_to_passages_oldest_first(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    old = [Message("user", "old " * 90), Message("assistant", "old " * 90)]
    recent = [Message("user", "recent question"), Message("assistant", "recent answer")]
    library.runtime.will_answer("", "24 months [1].")
    answer = await library.ask([*old, *recent, *ASKED], context_length=256)
    assert list(library.runtime.history[-1].messages[:-1]) == recent
    assert answer.receipt.turns_left_out == 2
    assert len(answer.receipt.passages) == 3


async def test_a_system_message_stays(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", "24 months [1].")
    asked = [Message("system", "You are Ada."), *ASKED]
    await library.ask(asked)
    assert library.runtime.history[-1].messages[0] == asked[0]


async def test_one_answer_a_document_rephrases_once(library: Library) -> None:
    await library.add("a.pdf", HANDBOOK[:1])
    await library.add("b.pdf", HANDBOOK[1:2])
    library.runtime.will_answer("Other words?", "24 months [1].", "36 months [1].")
    answers = await library.answers().each(await library.question(documents=["a", "b.pdf"]))
    assert {name: answer.message for name, answer in answers.items()} == {
        "a.pdf": "24 months [1].",
        "b.pdf": "36 months [1].",
    }
    for name, answer in answers.items():
        (citation,) = answer.citations
        assert citation.document == name


async def test_an_unknown_document_is_named_before_the_model_is_asked(library: Library) -> None:
    with pytest.raises(DocumentNotFound, match="nothing"):
        await library.events(["nothing"])
    assert library.runtime.history == []


async def test_an_unknown_model_is_refused_before_the_first_event(library: Library) -> None:
    with pytest.raises(ModelNotFound):
        await library.ask(documents=[], model="nobody")


async def test_closing_an_answer_closes_the_generation(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", "24 months [1].")
    answer = library.answers().stream(await library.question())
    await anext(answer)
    assert library.runtime.open_streams == 1
    await answer.aclose()
    assert library.runtime.open_streams == 0


async def test_a_model_that_breaks_off_fails_the_answer(library: Library) -> None:
    library.runtime.will_answer(BreaksOff("half an", BackEndFailed("gone")))
    with pytest.raises(BackEndFailed):
        await library.ask(documents=[])


async def test_braces_and_marks_of_templates_stay_text(library: Library) -> None:
    odd = "The {question} costs {{ 5 }} %s <|im_end|> {passages}."
    await library.add("odd.pdf", [odd])
    library.runtime.will_answer("", "5 [1]")
    await library.ask([Message("user", "What costs {x} {{y}}?")])
    prompt = library.runtime.history[-1].messages[-1].content
    assert odd in prompt
    assert prompt.endswith("Question: What costs {x} {{y}}?")


async def test_search_returns_each_page_also_of_documents_that_say_the_same(
    library: Library,
) -> None:
    await library.add("a.pdf", HANDBOOK)
    await library.add("b.pdf", HANDBOOK)
    demo = (await library.question()).model
    found = await library.answers().search(demo, "Orlo lamp", [], 10, rephrase=False)
    assert {(hit.document, hit.page) for hit in found[:2]} == {("a.pdf", 2), ("b.pdf", 2)}
    assert len(found) == 6
    assert library.runtime.history == []
