"""What a chunk's document and the pages beside it add to what the chunk itself says."""

import numpy as np
import pytest

from api.rag.fuse import Ranked
from api.rag.ranking import Place, Vector, Weights, beside_each_other, ends_with_sentence, placed

ALIKE, OTHER = np.array([1, 0], dtype=np.float32), np.array([0, 1], dtype=np.float32)


def order(
    scores: dict[int, float],
    places: dict[int, Place],
    question: str = "",
    vectors: dict[int, Vector] | None = None,
    weights: Weights | None = None,
) -> list[int]:
    ranked = [Ranked(chunk_id, score, ()) for chunk_id, score in scores.items()]
    found = placed(ranked, places, vectors or {}, question, 0.2, weights or Weights())
    assert all(0 <= one.score <= 1 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    return [one.chunk_id for one in found]


@pytest.mark.parametrize(
    "question",
    ["What did Best Buy earn in FY2023?", "BESTBUY and its sales", "bestbuy 2023 10k"],
)
def test_the_document_that_the_question_names_comes_first(question: str) -> None:
    places = {
        1: Place("a", "AMCOR_2023_10K.pdf", 3),
        2: Place("b", "BESTBUY_2023_10K.pdf", 3),
        3: Place("c", "AMCOR_2022_10K.pdf", 3),
    }
    assert order({1: 0.8, 2: 0.75, 3: 0.8}, places, question)[0] == 2


def test_a_word_that_all_names_share_tells_none_apart() -> None:
    places = {1: Place("a", "report one", 1), 2: Place("b", "report two", 1)}
    assert order({1: 0.61, 2: 0.6}, places, "Which report is the right one of the two?") == [1, 2]
    assert order({1: 0.6, 2: 0.61}, places, "the report") == [2, 1]


def test_the_document_that_most_speaks_for_decides_between_equals() -> None:
    places = {1: Place("a", "", 1), 2: Place("b", "", 1), 3: Place("b", "", 9)}
    assert order({1: 0.8, 2: 0.8, 3: 0.5, 4: 0.9}, places) == [2, 1, 3]  # 4 is in no document


def test_a_page_between_two_that_fit_is_likelier_to_fit_too() -> None:
    places = {
        1: Place("a", "", 4),
        2: Place("a", "", 5),
        3: Place("a", "", 6),
        4: Place("a", "", 20),
    }
    scores = {1: 0.7, 2: 0.6, 3: 0.7, 4: 0.62}
    goes_on = dict.fromkeys(scores, ALIKE)
    assert order(scores, places, vectors=goes_on).index(2) < 3
    assert (
        order(scores, places, vectors={**goes_on, 2: OTHER})[-1] == 2
    )  # it is about something else
    assert order(scores, places)[-1] == 2  # without vectors nothing is known


@pytest.mark.parametrize(("ends", "is_helped"), [("breaks off", True), ("It ends.", False)])
def test_pages_that_all_end_with_a_sentence_do_not_help_each_other(
    ends: str, is_helped: bool
) -> None:
    whole = ends_with_sentence(ends)
    places = {at: Place("a", "", at, at, whole) for at in range(1, 9)}
    scores = {1: 0.9, 2: 0.5} | dict.fromkeys(range(3, 8), 0.1) | {8: 0.55}
    found = order(scores, places, vectors=dict.fromkeys(scores, ALIKE))
    assert (found.index(2) < found.index(8)) is is_helped


def test_chunks_of_one_page_tell_nothing_about_its_end() -> None:
    places = {at: Place("a", "", 1 + at // 4, at, at != 3) for at in range(8)}
    scores = {0: 0.9, 4: 0.5, 5: 0.4, 6: 0.4, 7: 0.4, 3: 0.2, 1: 0.1, 2: 0.1}
    assert order(scores, places, vectors=dict.fromkeys(scores, ALIKE))[:2] == [0, 4]


def test_pages_of_two_documents_are_no_neighbours() -> None:
    places = {1: Place("a", "", 4), 2: Place("b", "", 5), 3: Place("b", "", 9)}
    vectors = dict.fromkeys(places, ALIKE)
    only_beside = Weights(name=0, document=0)
    assert order({1: 0.9, 2: 0.5, 3: 0.51}, places, vectors=vectors, weights=only_beside) == [
        1,
        3,
        2,
    ]


def test_vectors_are_asked_for_where_two_pages_meet() -> None:
    places = {
        1: Place("a", "", 4),
        2: Place("a", "", 4),
        3: Place("a", "", 5),
        4: Place("a", "", 8),
        5: Place("b", "", 6),
    }
    ranked = [
        Ranked(chunk_id, score, ())
        for chunk_id, score in {1: 0.2, 2: 0.3, 3: 0.1, 4: 0.9, 5: 0.9, 6: 1}.items()
    ]
    assert sorted(beside_each_other(ranked, places)) == [2, 3]


def test_nothing_found_is_nothing_ranked() -> None:
    assert placed([], {}, {}, "anything", 0.2) == []
