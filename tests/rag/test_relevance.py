"""Whether what was found can answer a question at all, and what becomes of one that nothing answers."""

import numpy as np
import pytest

from api.index.likeness import USUAL, mean_cosine
from api.rag.fuse import Found
from api.rag.prompts import REFUSAL
from api.rag.relevance import Calibration, Evidence, calibration_of, evidence, relevance
from api.rag.retrieve import Hit
from api.runtime import Message
from tests.rag.conftest import HANDBOOK, Library

QUERY = "What is the warranty of the Vanta heater?"
MADE_UP = Calibration("all-minilm", 6.0, 4.0, -3.0, 0.5)
ELSEWHERE = [Message("user", "Which comets did Tycho Brahe see?")]


def hit(text: str, dense: float | None, *, is_duplicate: bool = False) -> Hit:
    found = (Found(QUERY, dense, None),)
    return Hit(1, "doc_1", "handbook.pdf", 1, "", text, 1.0, found, is_duplicate)


def test_the_evidence_is_the_nearest_passage_and_the_words_of_the_best_one() -> None:
    hits = [hit("Lamps are sold here.", 0.3), hit("The Vanta heaters have a warranty.", 0.7)]
    assert evidence(QUERY, hits, 0.2) == Evidence(0.7, 0.2, 1.0)


def test_what_another_query_found_is_no_evidence_for_this_one() -> None:
    assert evidence("Who is it?", [hit("The Vanta heater.", 0.9)], 0.2).nearness == 0


def test_a_word_that_all_passages_hold_says_little() -> None:
    everywhere = [hit("The heater is sold.", 0.5) for _ in range(9)]
    query = "Is the warranty of a heater worth it?"  # worth is found nowhere
    found = [
        evidence(query, [hit(one, 0.5), *everywhere], 0.2).coverage
        for one in ("Its warranty.", "A heater.")
    ]
    assert found[0] > 0.3 > 0.1 > found[1]


def test_a_misspelled_word_counts_as_what_it_means() -> None:
    hits = [hit("The Vanta heaters have a warranty.", 0.7), hit("Lamps are sold here.", 0.3)]
    wrong = "Wht is the waranty of the Vanta heter?"
    said = [one._replace(found_by=(Found(wrong, 0.7, None),)) for one in hits]
    assert evidence(wrong, said, 0.2).coverage == 1
    assert evidence("Which warrant has the planet?", said, 0.2).coverage < 0.6


def test_a_misspelled_word_is_compared_with_whole_words_not_stems() -> None:
    query = "Which hearin servises are there?"
    found = (Found(query, 0.7, None),)
    hits = [hit("Hearing services are covered.", 0.7)._replace(found_by=found)]
    assert evidence(query, hits, 0.2).coverage == 1


def test_words_with_which_one_asks_do_not_count() -> None:
    hits = [hit("The Vanta heaters have a warranty.", 0.7)]
    asked = "Can you explain the details of the warranty?"
    assert evidence(asked, hits, 0.2).coverage == 1
    assert evidence("How often is the warranty held?", hits, 0.2).coverage == 1
    assert evidence("Can you explain the details?", hits, 0.2).coverage == 0.5


def test_duplicates_do_not_make_a_word_common() -> None:
    once = [hit("Its warranty.", 0.5), hit("The Vanta heater.", 0.5)]
    more = [*once, *[hit("Its warranty.", 0.5, is_duplicate=True)] * 5]
    assert evidence(QUERY, more, 0.2) == evidence(QUERY, once, 0.2)


def test_the_same_nearness_says_less_where_everything_is_alike() -> None:
    apart, alike = (relevance(Evidence(0.6, likeness, 0.5), MADE_UP) for likeness in (0.2, 0.5))
    assert 0 < alike < apart < 1


def test_only_a_measured_embedder_has_weights() -> None:
    assert calibration_of("all-minilm-l6-v2:384@4108f94f2aa0")
    assert calibration_of("All-MiniLM-L6-v2:latest:384")
    assert calibration_of("all-minilm-l6-v2-int8:384@4108f94f2aa0")
    assert calibration_of("all-minilm:22m:384@4108f94f2aa0")
    assert calibration_of("all-minilm-l6-v2:64") is None
    assert calibration_of("all-minilm:33m:384@00") is None  # of twelve layers
    assert calibration_of("all-minilm-l12-v2:384") is None
    assert calibration_of("bge-m3:1024@00") is None


def test_how_alike_rows_are_is_drawn_to_the_usual_by_few() -> None:
    same = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (100, 1))
    assert mean_cosine(same[:1]) == USUAL
    assert USUAL < mean_cosine(same[:3]) < mean_cosine(same) < 1
    apart = np.eye(2, dtype=np.float32).repeat(50, axis=0)
    assert mean_cosine(apart) == pytest.approx((100 * 4900 / 9900 + 8 * USUAL) / 108, abs=1e-4)


@pytest.mark.anyio
async def test_a_question_about_something_else_is_not_put_to_the_model(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.calibrated.append(MADE_UP)
    library.runtime.will_answer("")
    answer = await library.ask(ELSEWHERE)
    receipt = answer.receipt
    assert (answer.message, answer.citations) == (REFUSAL, ())
    assert (receipt.refused, receipt.refused_because) == (True, "not relevant")
    assert receipt.relevance is not None
    assert receipt.relevance < MADE_UP.least
    assert receipt.passages == ()
    assert {one.reason for one in receipt.left_out} == {"not relevant"}
    assert len(library.runtime.history) == 1  # the rephrasing


@pytest.mark.anyio
async def test_a_question_that_is_answered_keeps_its_relevance(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.calibrated.append(MADE_UP)
    library.runtime.will_answer("", "24 months [1].")
    receipt = (await library.ask()).receipt
    assert (receipt.refused, receipt.refused_because) == (False, None)
    assert receipt.relevance is not None
    assert receipt.relevance > MADE_UP.least


@pytest.mark.anyio
@pytest.mark.parametrize(("least", "is_asked"), [(0, True), (None, False), (0.99, False)])
async def test_the_setting_stands_above_what_suits_the_embedder(
    library: Library, least: float | None, is_asked: bool
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.calibrated.append(MADE_UP)
    library.runtime.will_answer("", "Comets [1].")
    answer = await library.ask(ELSEWHERE, min_relevance=least)
    assert (answer.message == "Comets [1].") is is_asked


@pytest.mark.anyio
async def test_an_embedder_that_was_not_measured_refuses_nothing(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    library.runtime.will_answer("", "Comets [1].")
    receipt = (await library.ask(ELSEWHERE, min_relevance=1)).receipt
    assert (receipt.relevance, receipt.refused) == (None, False)


@pytest.mark.anyio
async def test_documents_in_another_language_are_never_refused_for_their_words(
    library: Library,
) -> None:
    await library.add("handbook.pdf", HANDBOOK, language="de")
    library.calibrated.append(MADE_UP)
    library.runtime.will_answer("", "24 months [1].")
    receipt = (await library.ask(ELSEWHERE)).receipt
    assert (receipt.refused, receipt.relevance) == (False, None)
