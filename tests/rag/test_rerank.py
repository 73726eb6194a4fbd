"""The best passages in a reranker's order, and what stays when it gives none."""

import logging

import pytest

from api.rag.rerank import by_scores
from api.rag.retrieve import Hit
from tests.fakes import FakeRuntime
from tests.rag.conftest import HANDBOOK, Library

pytestmark = pytest.mark.anyio


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(reranker="reranker")


def hit(number: int, score: float) -> Hit:
    return Hit(number, "id", "handbook.pdf", number, "", f"text {number}", score, ())


def test_the_places_keep_their_scores_and_equals_their_order() -> None:
    found = [hit(1, 0.9), hit(2, 0.5), hit(3, 0.5), hit(4, 0.1)]
    ordered = by_scores(found, [-4.0, 7.0, -4.0, 11.5])
    assert [one.page for one in ordered] == [4, 2, 1, 3]
    assert [one.score for one in ordered] == [0.9, 0.5, 0.5, 0.1]


async def searched(library: Library, query: str, **limits: object) -> list[int]:
    found = await library.answers().model("demo", over_documents=True)
    hits = await library.answers(**limits).search(found, query, [], 10, rephrase=False)
    assert [one.score for one in hits] == sorted((one.score for one in hits), reverse=True)
    return [one.page for one in hits]


async def test_a_search_is_ordered_by_the_reranker_as_far_as_it_reads(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    query = "The three colours of the Orlo lamp and its warranty"
    assert (first := await searched(library, query)) == [2, 1, 3]
    assert await searched(library, query, reranker="reranker") == [1, 3, 2]  # the shortest first
    some = await searched(library, query, reranker="reranker", rerank_passages=2)
    assert some == [first[1], first[0], first[2]]


async def test_the_receipt_names_the_reranker(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    answer = await library.ask(reranker="reranker")
    assert answer.receipt.reranked_by == "reranker"
    assert (await library.ask()).receipt.reranked_by is None


@pytest.mark.parametrize(
    ("name", "hint"), [("nobody", "there is no such model"), ("demo", "is no reranker")]
)
async def test_what_cannot_rerank_leaves_the_order_and_is_told(
    library: Library, caplog: pytest.LogCaptureFixture, name: str, hint: str
) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    before = (await library.ask()).receipt
    with caplog.at_level(logging.WARNING):
        after = (await library.ask(reranker=name)).receipt
    assert after.passages == before.passages
    assert after.reranked_by is None
    assert f"the reranker '{name}' ordered nothing" in caplog.text
    (told,) = await library.answers(reranker=name).check()
    assert hint in told
    assert await library.answers(reranker="reranker").check() == ()


async def test_a_question_too_long_for_the_reranker_is_answered(library: Library) -> None:
    await library.add("handbook.pdf", HANDBOOK)
    assert await searched(library, "warranty " * 70, reranker="reranker")
