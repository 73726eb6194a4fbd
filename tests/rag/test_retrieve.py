"""The passages that are found for a question."""

import pytest

from api.rag.retrieve import Hit, different, hits, pages
from tests.fakes import FakeRuntime
from tests.rag.conftest import HANDBOOK, Library

pytestmark = pytest.mark.anyio


async def test_the_page_that_answers_comes_first(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    found = await hits(
        library.index, library.store, library.scope(), ["warranty of the Orlo lamp"], None, 0.5
    )
    assert len(found) == 3
    assert (found[0].document, found[0].page) == ("handbook.pdf", 2)
    assert found[0].found_by[0].query == "warranty of the Orlo lamp"
    assert found[0].found_by[0].lexical is not None


async def test_only_the_listed_documents_are_searched(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    other = await library.add("other.pdf", ["The Orlo lamp is green."])
    found = await hits(library.index, library.store, library.scope(), ["Orlo lamp"], [other], 0.5)
    assert {hit.document for hit in found} == {"other.pdf"}


async def test_a_deleted_document_is_not_found(library: Library) -> None:
    document = await library.add("handbook.pdf", HANDBOOK)
    library.store.documents.mark_deleting([document.id])
    assert not await hits(library.index, library.store, library.scope(), ["lamp"], None, 0.5)


async def test_the_same_text_twice_is_marked_and_does_not_count(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    await library.add("copy.pdf", [*HANDBOOK[:1], "Lamps shine."])
    found = await hits(
        library.index, library.store, library.scope(), ["warranty heater"], None, 0.5
    )
    found = different(found, 2)
    assert sum(not hit.is_duplicate for hit in found) == 2
    assert [hit.is_duplicate for hit in found[:2]] == [False, True]


async def test_of_a_text_that_many_documents_have_a_few_are_told(library: Library) -> None:
    for number in range(5):
        await library.add(f"contract-{number}.pdf", [HANDBOOK[0], f"It costs {number} euros."])
    found = await hits(library.index, library.store, library.scope(), ["warranty"], None, 0.5)
    told = different(found, 2)
    assert sum(hit.is_duplicate for hit in told) <= 2
    assert sum(not hit.is_duplicate for hit in told) == 2


async def test_texts_that_differ_in_a_number_are_no_duplicates(library: Library) -> None:
    report = "In the year {} the company sold many thousand lamps in all of its known markets."
    await library.add("reports.pdf", [report.format(2019), report.format(2020)])
    found = await hits(library.index, library.store, library.scope(), ["lamps sold"], None, 0.5)
    assert [hit.is_duplicate for hit in different(found, 5)] == [False, False]


async def test_a_question_longer_than_the_embedding_model_reads_is_cut_in_its_middle(
    library: Library,
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    question = "Orlo lamp " + "and so on " * 2000 + "warranty of the lamp"
    found = await hits(library.index, library.store, library.scope(), [question], None, 0.5)
    assert found[0].page == 2
    assert len(found[0].found_by[0].query) < len(question)


async def test_related_words_that_an_embedding_model_cannot_read_keep_no_question_from_being_searched(
    library: Library,
) -> None:
    library.serve_with(FakeRuntime(embedding_context=25))
    await library.add("handbook.pdf", HANDBOOK)
    question = "EBITDA, DPO, ROE, capex and working capital of the Orlo lamp"
    found = await hits(library.index, library.store, library.scope(), [question], None, 0.5)
    assert found[0].page == 2


def test_a_page_is_found_once_by_its_best_passage() -> None:
    found = [
        Hit(chunk, document, document, page, "", "", 1 - chunk / 10, ())
        for chunk, document, page in [(1, "a", 1), (2, "a", 1), (3, "b", 1), (4, "a", 2)]
    ]
    assert [hit.chunk_id for hit in pages(found, 3)] == [1, 3, 4]
    assert [hit.chunk_id for hit in pages(found, 2)] == [1, 3]


def test_a_passage_is_shown_under_its_heading_once() -> None:
    apart = Hit(1, "d", "a.pdf", 1, "Parking", "It is free.", 1.0, ())
    within = Hit(1, "d", "a.pdf", 1, "Parking", "Parking\nIt is free.", 1.0, ())
    assert apart.shown_text == within.shown_text == "Parking\nIt is free."
