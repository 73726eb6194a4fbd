"""Markers of an answer against the pages they stand for."""

import pytest

from api.rag.citations import Source, check
from api.rag.receipt import Citation

PAGE = (
    "Heating\r\nThe Vanta heater has a warranty\nof 24 months. It weighs 12 kg.\n\n"
    "Service\nThe hotline answers from 8:00 to 16:30 (Mon-Fri). It costs nothing."
)
TEXT = " ".join(PAGE.split())
SOURCE = Source(1, "handbook.pdf", "doc_1", 3, TEXT, PAGE)
OTHER = Source(2, "prices.pdf", "doc_2", 1, "The lamp costs 30 euros.", "The lamp costs 30 euros.")


def test_the_quote_is_the_sentence_that_holds_the_statement() -> None:
    found = check("The warranty is 24 months [1].", "How long?", [SOURCE, OTHER])
    (citation,) = found.citations
    assert (citation.n, citation.document, citation.page) == (1, "handbook.pdf", 3)
    assert citation.quote.endswith("of 24 months.")


def test_the_quote_stands_word_for_word_on_the_page() -> None:
    found = check("24 months [1]. Call from 8:00 to 16:30 [1].", "", [SOURCE])
    assert [citation.quote in PAGE for citation in found.citations] == [True, True]
    assert "16:30" in found.citations[1].quote


def test_each_marker_of_a_group_is_looked_up() -> None:
    found = check("It is 24 months and 30 euros [1, 2]. Also [1][2].", "", [SOURCE, OTHER])
    assert {citation.n for citation in found.citations} == {1, 2}


def test_a_marker_of_no_passage_is_reported_and_never_cited() -> None:
    found = check("24 months [7], or so [0].", "", [SOURCE])
    assert (found.citations, found.unknown) == ((), (7, 0))


def test_a_passage_that_is_not_on_its_page_is_never_cited() -> None:
    moved = Source(1, "handbook.pdf", "doc_1", 3, "The heater lasts 24 months.", "Another page.")
    found = check("24 months [1].", "", [moved])
    assert (found.citations, found.unverified) == ((), (1,))


def test_the_same_statement_twice_is_one_citation() -> None:
    assert len(check("24 months [1]. 24 months [1].", "", [SOURCE]).citations) == 1


def test_a_marker_before_any_word_still_gets_a_quote() -> None:
    (citation,) = check("[1]", "How much does the heater weigh?", [SOURCE]).citations
    assert citation.quote in PAGE


def test_an_answer_without_markers_has_no_citations() -> None:
    assert check("24 months.", "", [SOURCE]).citations == ()


def test_signs_with_a_meaning_in_patterns_are_plain_text() -> None:
    text = "Use f(x) = a*b+c? Yes [see 4.2] $5 \\ 100%."
    (citation,) = check(
        "f(x) = a*b+c [1]", "", [Source(1, "a.pdf", "doc_1", 1, text, text)]
    ).citations
    assert citation.quote in text


@pytest.mark.parametrize("length", [50, 400, 5000])
def test_a_quote_is_never_long(length: int) -> None:
    text = "\n".join(f"row {n} holds {n * 7} pieces" for n in range(length))
    (citation,) = check("14 pieces [1]", "", [Source(1, "t.pdf", "doc_1", 1, text, text)]).citations
    assert len(citation.quote) <= 320 * 2 + 1


def test_two_sentences_are_quoted_when_both_support() -> None:
    (citation,) = check("24 months of warranty and a weight of 12 kg [1].", "", [SOURCE]).citations
    assert citation == Citation(
        1,
        "handbook.pdf",
        "doc_1",
        3,
        "Heating\r\nThe Vanta heater has a warranty\nof 24 months. It weighs 12 kg.",
    )
