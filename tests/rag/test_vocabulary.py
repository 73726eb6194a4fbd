"""Measures of a report, and the lines that they are computed from."""

import pytest

from api.rag.vocabulary import related


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("What is the Working Capital of Netflix?", "liabilities"),
        ("Is the quick ratio sound?", "receivables"),
        ("FY2022 unadjusted EBITDA % margin", "depreciation"),
        ("Compute the DPO for 2021.", "payable"),
        ("How much was spent on PP&E?", "property"),
        ("Which capital expenditures were made?", "purchases"),
        ("What was its ROA?", "assets"),
    ],
)
def test_a_measure_brings_the_words_of_its_lines(question: str, word: str) -> None:
    assert word in related(question).split()


@pytest.mark.parametrize(
    "question",
    [
        "How do I clean the filter?",
        "What does a parking pass cost?",
        "When do we leverage customers?",
        "Is this data acquisition system edible or ebitable?",
        "",
    ],
)
def test_a_question_without_a_measure_stays_as_it_is(question: str) -> None:
    assert related(question) == ""


def test_no_word_comes_twice() -> None:
    words = related("working capital, quick ratio, total assets and return on assets").split()
    assert len(words) == len(set(words))


def test_a_measure_stands_in_one_question_not_across_two() -> None:
    assert related("Is the network working", "capital of France") == ""
    assert related("Its ROA?", "Its DPO?").split() == related("Its ROA and DPO?").split()
