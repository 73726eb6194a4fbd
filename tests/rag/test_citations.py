"""Markers of an answer against the pages they stand for."""

import pytest

from api.rag.citations import Source, check
from api.rag.receipt import Unsupported
from api.rag.rectangles import Place, Rectangle
from api.store.contents import Page

PAGE = (
    "Heating\r\nThe Vanta heater has a warranty\nof 24 months. It weighs 12 kg.\n\n"
    "Service\nThe hotline answers from 8:00 to 16:30 (Mon-Fri). It costs nothing."
)
TEXT = " ".join(PAGE.split())
SOURCE = Source(1, "handbook.pdf", "doc_1", "", TEXT, Page(3, PAGE))
LAMP = "The lamp costs 30 euros."
OTHER = Source(2, "prices.pdf", "doc_2", "", LAMP, Page(1, LAMP))


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
    moved = Source(
        1, "handbook.pdf", "doc_1", "", "The heater lasts 24 months.", Page(3, "Another page.")
    )
    found = check("24 months [1].", "", [moved])
    assert (found.citations, found.unverified) == ((), (1,))


def test_the_same_statement_twice_is_one_citation() -> None:
    assert len(check("24 months [1]. 24 months [1].", "", [SOURCE]).citations) == 1


def test_a_marker_before_any_word_still_gets_a_quote() -> None:
    (citation,) = check("[1]", "How much does the heater weigh?", [SOURCE]).citations
    assert citation.quote in PAGE


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("According to [2], the lamp costs 30 euros.", [True]),
        ("According to [2], the lamp costs 50 euros.", [False]),
        ("According to [1] and [2], the lamp costs 50 euros.", [False, False]),
        ("The lamp [2] costs 50 euros.", [False]),
        ("[2] The lamp costs 50 euros.", [False]),
        ("The lamp costs 30 euros [2]. The heater weighs 50 kg.", [True]),
        ("The lamp costs 30 euros. [2] The heater weighs 12 kg. [1]", [True, True]),
        ("The lamp costs 30 euros [2] and the heater weighs 50 kg [1].", [True, False]),
        ("The lamp costs 30 euros (see [2]).", [True]),
        ("The lamp costs 30 euros. [2][2] The heater weighs 50 kg.", [True]),
        ("[2] The lamp costs 30 euros.\n[1] The heater weighs 12 kg.", [True, True]),
    ],
)
def test_a_marker_has_all_of_its_sentence(answer: str, supported: list[bool]) -> None:
    found = check(answer, "", [SOURCE, OTHER])
    assert [citation.supported for citation in found.citations] == supported
    assert bool(found.unsupported) is (False in supported or "50 kg" in answer)


def test_phrases_are_no_statements() -> None:
    phrases = "Sure! The lamp costs 30 euros [2]. I hope this helps!\n\n**Sources:**"
    assert check(phrases, "", [SOURCE, OTHER]).unsupported == ()
    assert check("30 euros [2]. The lamp weighs nothing.", "", [SOURCE, OTHER]).unsupported


def test_an_answer_without_markers_has_no_citations() -> None:
    assert check("24 months.", "", [SOURCE]).citations == ()


def test_signs_with_a_meaning_in_patterns_are_plain_text() -> None:
    text = "Use f(x) = a*b+c? Yes [see 4.2] $5 \\ 100%."
    (citation,) = check(
        "f(x) = a*b+c [1]", "", [Source(1, "a.pdf", "doc_1", "", text, Page(1, text))]
    ).citations
    assert citation.quote in text


@pytest.mark.parametrize("length", [50, 400, 5000])
def test_a_quote_is_never_long(length: int) -> None:
    text = "\n".join(f"row {n} holds {n * 7} pieces" for n in range(length))
    (citation,) = check(
        "14 pieces [1]", "", [Source(1, "t.pdf", "doc_1", "", text, Page(1, text))]
    ).citations
    assert len(citation.quote) <= 320 * 2 + 1


def test_two_sentences_are_quoted_when_both_support() -> None:
    (citation,) = check("24 months of warranty and a weight of 12 kg [1].", "", [SOURCE]).citations
    assert (
        citation.quote
        == "Heating\r\nThe Vanta heater has a warranty\nof 24 months. It weighs 12 kg."
    )
    assert citation.supported


def test_a_statement_that_its_passage_does_not_make_is_cited_and_flagged() -> None:
    found = check("The warranty is 36 months [1]. It weighs 12 kg [1].", "", [SOURCE])
    assert [citation.supported for citation in found.citations] == [False, True]
    assert found.unsupported == (Unsupported("The warranty is 36 months", "the number 36 month"),)


def test_a_sentence_without_a_marker_may_stand_in_any_cited_passage() -> None:
    answer = "The heater weighs 12 kg. The lamp is red. The warranty is 24 months [1]. Yes."
    assert [one.sentence for one in check(answer, "", [SOURCE]).unsupported] == ["The lamp is red."]


def test_an_answer_that_cites_nothing_is_flagged_whole() -> None:
    (one,) = check("The heater weighs 12 kg.", "", [SOURCE]).unsupported
    assert one.lacking == "no passage is cited"


def test_markers_side_by_side_support_a_statement_together() -> None:
    found = check(
        "The heater weighs 12 kg and the lamp costs 30 euros [1] and [2].", "", [SOURCE, OTHER]
    )
    assert [(one.n, one.supported) for one in found.citations] == [(1, True), (2, True)]
    assert found.unsupported == ()


def test_a_quote_has_a_box_for_each_line_that_it_touches() -> None:
    lines = [[0, 7, 50, 40, 90, 50], [9, 40, 50, 60, 205, 70], [41, 72, 50, 80, 205, 90]]
    layout = {"size": [300, 400], "lines": lines}
    source = Source(1, "handbook.pdf", "doc_1", "", TEXT, Page(3, PAGE, "iii", layout=layout))
    (citation,) = check("The Vanta heater has a warranty of 24 months [1].", "", [source]).citations
    assert PAGE[41:72] == "of 24 months. It weighs 12 kg.\n"
    assert citation.label == "iii"
    assert citation.place == Place(
        300,
        400,
        (
            Rectangle(50.0, 40, 90.0, 50),
            Rectangle(50.0, 60, 205.0, 70),
            Rectangle(50.0, 80, 115.0, 90),
        ),
    )


def test_a_page_without_a_layout_has_no_boxes() -> None:
    (citation,) = check("The heater weighs 12 kg [1].", "", [SOURCE]).citations
    assert citation.place == Place()
