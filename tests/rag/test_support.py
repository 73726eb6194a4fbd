"""Whether a passage says what a statement says."""

import pytest

from api.rag.numbers import numbers
from api.rag.support import Passage, lacking

PASSAGE = Passage(
    "The Vanta heater has a warranty of 24 months. It weighs 12 kg.\n"
    "The Orlo lamp has a warranty of 36 months and is sold in three colours.\n"
    "Parking at the office costs 30 euros a year. Visitors park for free and do not need a pass. "
    "Anna leads the choir and Ben leads the band. The shop opened on 2021-03-05, and sales rose to $1.2 million.\n"
    "The health club pays for:\n"
    "\u2022 Gym memberships\n"
    "\u2022 Yoga classes up to $50\n"
    "\u2022 Ski lessons up to $1,200",
    "Handbook",
)


@pytest.mark.parametrize(
    "statement",
    [
        "The Vanta heater has a 24-month warranty.",
        "The Vanta heater weighs 12 kilograms.",
        "The heater is covered for 24 months and weighs 12 kg.",
        "The Orlo lamp comes in 3 colours.",
        "According to the handbook, the lamp is sold in three colours.",
        "Visitors need no pass.",
        "Visitors don't need a pass.",
        "Yes, visitors can park for free.",
        "Ben leads the band.",
        "It opened on 5 March 2021.",
        "Sales rose to 1,200,000 dollars.",
        "The club pays up to 1200 dollars for ski lessons.",
        "The health club pays for gym memberships, yoga classes and ski lessons.",
        "Parking costs \u20ac30 per year.",
    ],
)
def test_what_the_passage_says_in_other_words_is_supported(statement: str) -> None:
    assert lacking(statement, [PASSAGE]) == ""


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("The heater weighs 21 kg.", "the number 21 kilogram"),
        ("The heater weighs 12 g.", "the number 12 gram"),
        ("The lamp is sold in four colours.", "the number 4"),
        ("Parking costs 30 dollars a year.", "the number 30 usd"),
        ("Sales rose to $1.2 billion.", "the number 1.2 usd"),
        ("It opened on 6 March 2021.", "the number 6"),
        ("It opened on 5 April 2021.", "the name april"),
        ("The new lamp is called Zeta.", "the name zeta"),
        ("The shop sells bicycles.", "most of its words"),
        ("Visitors need a pass.", "whether it is so or not"),
        ("Visitors do not park for free.", "whether it is so or not"),
        ("Sales fell to $1.2 million.", "the opposite of a word"),
        ("Parking costs 30 euros a month.", "the opposite of a word"),
    ],
)
def test_what_is_lacking_is_named(statement: str, why: str) -> None:
    assert lacking(statement, [PASSAGE]) == why


@pytest.mark.parametrize(
    "statement",
    [
        "The Vanta heater has a warranty of 36 months.",
        "The Orlo lamp has a warranty of 24 months.",
        "The lamp has a warranty of 24 months.",
        "The Orlo lamp weighs 12 kg.",
        "Ben leads the choir.",
        "Anna leads the band.",
        "Zeta leads the band.",
        "Yoga classes are paid up to $1,200.",
    ],
)
def test_what_the_passage_says_of_something_else_is_not_supported(statement: str) -> None:
    assert lacking(statement, [PASSAGE])


STAFF = Passage(
    "Name | Role | Phone | Room\n"
    "Name: Anna Berg; Role: Engineer; Phone: 4711; Room: 12\n"
    "Name: Ben Kraus; Role: Cook; Phone: 4712; Room: 14",
    "staff.xlsx",
)
SALES = Passage(
    "Net sales; 2023: 14,694; 2022: 14,544\nOperating income; 2023: 1,200; 2022: 1,100", "report"
)
PRICES = Passage("Item: lamp; Price: 30 euros\nItem: heater; Price: 50 euros", "prices.csv")


@pytest.mark.parametrize(
    ("passage", "statement"),
    [
        (STAFF, "The phone number of Ben Kraus is 4712."),
        (STAFF, "Anna Berg is an engineer."),
        (STAFF, "Anna Berg's room is 12 and her phone is 4711."),
        (STAFF, "Name: Ben Kraus; Role: Cook; Phone: 4712"),
        (STAFF, "The phones are: Anna Berg: 4711; Ben Kraus: 4712."),
        (SALES, "Net sales were 14,544 in 2022."),
        (SALES, "Net sales rose from 14,544 in 2022 to 14,694 in 2023."),
        (PRICES, "The heater costs 50 euros."),
    ],
)
def test_what_a_row_of_a_table_says_is_supported(passage: Passage, statement: str) -> None:
    assert lacking(statement, [passage]) == ""


@pytest.mark.parametrize(
    ("passage", "statement"),
    [
        (STAFF, "The phone number of Ben Kraus is 4711."),
        (STAFF, "Anna Berg is a cook."),
        (STAFF, "Anna Berg's room is 4711."),
        (STAFF, "Name: Ben Kraus; Role: Cook; Phone: 4711"),
        (STAFF, "The phones are: Anna Berg: 4712; Ben Kraus: 4711."),
        (SALES, "Net sales were 14,544 in 2023."),
        (SALES, "Net sales were 1,200 in 2023."),
        (PRICES, "The heater costs 30 euros."),
    ],
)
def test_what_another_row_or_column_says_is_not_supported(passage: Passage, statement: str) -> None:
    assert lacking(statement, [passage])


@pytest.mark.parametrize("run", [" ", "\n", " ,", ": ", "; ", "[1 ", "n't", "1."])
def test_a_long_run_of_one_thing_is_read_at_once(run: str) -> None:
    text = f"The lamp{run * 20_000}costs 30 euros."
    assert lacking("The heater weighs 12 kg.", [Passage(text)])
    assert lacking(f"The heater{run * 20_000}weighs 21 kg.", [PASSAGE])


def test_each_clause_may_stand_in_another_passage() -> None:
    lamp, heater = Passage("The lamp costs 30 euros."), Passage("The heater weighs 12 kg.")
    statement = "The heater weighs 12 kg and the lamp costs 30 euros."
    assert lacking(statement, [lamp, heater]) == ""
    assert lacking(statement, [lamp])


def test_the_name_of_the_document_holds_for_all_of_it() -> None:
    text = "We pay for ten lessons."
    statement = "At Contoso ten lessons are paid for."
    assert lacking(statement, [Passage(text, "Contoso handbook")]) == ""
    assert lacking(statement, [Passage(text, "Fabrikam handbook")]) == "the name contoso"


def test_a_long_summary_need_not_stand_in_one_clause() -> None:
    text = (
        "Members get advice on food and sleep. Nurses answer calls at night. "
        "A doctor looks at every plan. Families may join the meetings."
    )
    summary = (
        "Members and families get advice on food, calls at night answered by nurses, "
        "and a doctor's look at the plan."
    )
    assert lacking(summary, [Passage(text)]) == ""


def test_without_a_passage_nothing_is_supported() -> None:
    assert lacking("The lamp costs 30 euros.", []) == "no passage is cited"


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1,234", 1234, ""),
        ("1234.50", 1234.5, ""),
        ("$5 million", 5e6, "usd"),
        ("EUR 12", 12, "eur"),
        ("12 \u20ac", 12, "eur"),
        ("7 %", 7, "percent"),
        ("seven percent", 7, "percent"),
        ("30 business days", 30, "day"),
        ("a 24-month term", 24, "month"),
        ("two dozen", 24, ""),
    ],
)
def test_numbers_are_read_with_what_they_count(text: str, value: float, unit: str) -> None:
    (found,) = numbers(text)
    assert (found.value, found.unit) == (value, unit)
