"""The pure parts of the bench that tells whether the right page is found."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
try:
    FIGURES = import_module("retrieval_bench.figures")
    PARAPHRASES = import_module("retrieval_bench.paraphrases")
    RECIPES = import_module("retrieval_bench.recipes")
finally:
    sys.path.pop(0)
judged, interval, told = FIGURES.judged, FIGURES.interval, FIGURES.told
difference, added = FIGURES.difference, RECIPES.added
asked_so, paraphrases = PARAPHRASES.asked_so, PARAPHRASES.paraphrases

RIGHT = frozenset([("a.pdf", 1), ("b.pdf", 7)])


def test_a_perfect_order_has_every_figure_at_one() -> None:
    assert judged([("a.pdf", 1), ("b.pdf", 7), ("c.pdf", 1)], RIGHT) == (1.0, 1.0, 1.0, 1.0)


def test_nothing_right_among_the_first_ten_has_none() -> None:
    wrong = [("c.pdf", page) for page in range(10)]
    assert judged([*wrong, ("a.pdf", 1)], RIGHT) == (0.0, 0.0, 0.0, 0.0)


def test_a_right_page_further_down_counts_less() -> None:
    ndcg, first, among_five, reciprocal = judged(
        [("c.pdf", 1), ("c.pdf", 2), ("a.pdf", 1)], frozenset([("a.pdf", 1)])
    )
    assert (ndcg, first, among_five, reciprocal) == (0.5, 0.0, 1.0, pytest.approx(1 / 3))


def test_an_interval_holds_the_mean_and_pairs_that_never_differ_have_none() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 0.25, 1.0, 0.0, 0.5]
    low, high = interval(values)
    assert 0 < low < sum(values) / len(values) < high < 1
    assert difference(values, values) == "+0.000 [+0.000 +0.000]"
    assert difference(values, [value - 0.1 for value in values]) == "+0.100 [+0.100 +0.100]"
    assert told([1.0, 1.0]) == "1.000 [1.000 1.000]"


def test_the_plain_hybrid_adds_what_each_side_says_on_one_scale() -> None:
    meaning, words = {1: 0.9, 2: 0.8, 3: 0.1}, {2: 30.0, 4: 10.0}
    assert added([meaning, words]) == [2, 1, 3, 4]
    assert added([meaning, {}]) == [1, 2, 3]
    assert added([{5: 0.3}, {}]) == [5]


def test_paraphrases_are_searched_beside_the_question_but_not_those_that_lead_away(
    tmp_path: Path,
) -> None:
    file = tmp_path / "paraphrases.jsonl"
    rows = {
        "What does a boat cost in 2023?": ["Price of a boat, 2023", "Price of a boat, 2021"],
        "Who founded the museum?": ["The museum's founder", "Who set it up?"],
    }
    lines = [json.dumps({"question": q, "paraphrases": ways}) for q, ways in rows.items()]
    file.write_text("\n".join(lines))
    first = "What does a boat cost in 2023?"
    asked = asked_so([*rows, "Is there a garden?"], paraphrases(file))
    assert asked["+ paraphrases"][0] == [first, "Price of a boat, 2023"]
    assert asked["+ paraphrases"][2] == ["Is there a garden?"]
    assert asked["+ and a drifting one"][0] == [first, "Price of a boat, 2023"]
    assert asked["+ a drifting one alone"][0] == [first]
    assert asked["+ it alone, kept"][0] == [first, "The museum's founder"]
