"""Ranked lists by meaning and by words, fused into one."""

import pytest

from api.index.values import Candidates, Scored
from api.rag.fuse import Found, fuse


def candidates(dense: dict[int, float], lexical: dict[int, float]) -> Candidates:
    return Candidates(
        "q",
        tuple(Scored(*pair) for pair in dense.items()),
        tuple(Scored(*pair, 1.0) for pair in lexical.items()),
    )


def scores(found: list[Candidates], dense_weight: float) -> dict[int, float]:
    return {one.chunk_id: one.score for one in fuse(found, dense_weight)}


def test_both_sides_count_by_their_weight() -> None:
    fused = scores([candidates({1: 0.9, 2: 0.5, 3: 0.1}, {2: 8.0, 1: 4.0, 3: 0.0})], 0.5)
    assert fused == {1: pytest.approx(0.75), 2: pytest.approx(0.75), 3: 0.0}


def test_without_a_common_word_meaning_decides_alone() -> None:
    fused = scores([candidates({1: 0.9, 2: 0.1}, {})], 0.3)
    assert fused == {1: 1.0, 2: 0.0}


def test_one_rephrasing_gone_wrong_does_not_win() -> None:
    right = candidates({1: 0.9, 2: 0.1, 3: 0.0}, {1: 5.0})
    wrong = candidates({3: 0.9, 2: 0.1, 1: 0.0}, {3: 5.0})
    fused = scores([right, right, wrong], 0.5)
    assert fused[1] > fused[3] > fused[2]


def test_the_best_comes_first_with_what_found_it() -> None:
    ranked = fuse([candidates({1: 0.1, 2: 0.9}, {2: 4.0}), candidates({1: 0.5, 3: 0.9}, {})], 0.5)
    assert [one.chunk_id for one in ranked] == [2, 3, 1]
    assert ranked[0].found_by == (Found("q", 0.9, 4.0),)
    assert [found.dense for found in ranked[2].found_by] == [0.1, 0.5]


def test_words_count_by_their_share_of_the_best_not_by_the_worst_that_was_found() -> None:
    fused = scores([candidates({}, {1: 10.0, 2: 9.0, 3: 8.0})], 0.5)
    assert fused == {1: 0.5, 2: 0.45, 3: 0.4}


def test_the_fewer_words_are_found_the_more_meaning_counts() -> None:
    def of_meaning(coverage: float) -> float:
        found = Candidates("q", (Scored(1, 0.9), Scored(2, 0.1)), (Scored(2, 3.0, coverage),))
        return {one.chunk_id: one.score for one in fuse([found], 0.5)}[1]

    assert of_meaning(1.0) == of_meaning(0.2) == 0.5
    assert of_meaning(0.1) == pytest.approx(0.7)
    assert of_meaning(0.0) == pytest.approx(0.9)
