"""Ranked lists by meaning and by words, fused into one."""

import pytest

from api.index.values import Candidates, Scored
from api.rag.fuse import Found, Ranked, fuse, with_documents


def candidates(dense: dict[int, float], lexical: dict[int, float]) -> Candidates:
    return Candidates(
        "q",
        tuple(Scored(*pair) for pair in dense.items()),
        tuple(Scored(*pair) for pair in lexical.items()),
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


def test_the_document_that_most_speaks_for_decides_between_equals() -> None:
    ranked = [Ranked(1, 0.8, ()), Ranked(2, 0.8, ()), Ranked(3, 0.5, ()), Ranked(4, 0.9, ())]
    with_each = with_documents(ranked, {1: "a", 2: "b", 3: "b"}, share=0.1)
    assert [one.chunk_id for one in with_each] == [2, 1, 3]  # 4 is in no document
    assert with_each[0].score == pytest.approx(0.9 / 1.1, abs=1e-4)
    assert with_documents([], {}) == []
