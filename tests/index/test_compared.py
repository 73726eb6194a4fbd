"""Comparing in the database: exact whatever the blocks, bounded, one at a time, and never of yesterday."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from api.index import compared
from api.index.compared import Comparison
from api.store import Store
from api.store.chunks import Chunk
from api.store.documents import Document
from api.store.vectors import Block, Vectors
from tests.databases import open_migrated

pytestmark = pytest.mark.anyio

VERSION = "tiny:8@1"
QUESTIONS = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store that is read in blocks of seven."""
    monkeypatch.setattr(compared, "BLOCK", 7)
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


def add(store: Store, name: str, count: int, model: str = "demo", digest: str = "") -> Document:
    """A ready document of `count` chunks."""
    collection = store.collections.of_model(model)
    document, _, is_new, _ = store.documents.add(name, collection, digest or name, 1, "tiny")
    if is_new:
        rows = np.random.default_rng(sum(name.encode())).normal(size=(count, 8))
        chunks = [Chunk(n, 1, "", f"{name} {n}", 1) for n in range(count)]
        store.chunks.add(document.content_id, chunks, rows.astype(np.float32), VERSION, 1)
    store.documents.mark_placed(document.id, VERSION)
    return store.documents.mark_ready(document.id)


def expected(store: Store, documents: Sequence[Document], limit: int) -> list[list[int]]:
    """The nearest, from all vectors at once."""
    ids = sorted({one for document in documents for one in store.chunks.ids(document.content_id)})
    known, rows = store.vectors.of_chunks(ids, VERSION)
    order = np.argsort(-(QUESTIONS @ rows.astype(np.float32).T), axis=1)[:, :limit]
    return [[int(known[at]) for at in row] for row in order]


async def found(comparison: Comparison, limit: int, **where: Any) -> list[list[int]]:
    """The ids of what is nearest."""
    answer = await comparison.nearest(QUESTIONS, VERSION, limit, **where)
    for hits in answer:
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    return [[hit.chunk_id for hit in hits] for hits in answer]


@pytest.mark.parametrize("limit", [1, 5, 40, 1000])
async def test_the_nearest_are_exact_however_many_blocks_there_are(
    store: Store, limit: int
) -> None:
    documents = [add(store, f"{n}.pdf", 5 + n) for n in range(6)]
    comparison = Comparison(store)
    here = store.collections.scope_of("demo").ids
    for _ in range(2):  # read, and kept
        assert await found(comparison, limit, collections=here) == expected(store, documents, limit)
    some = documents[1:3]
    for _ in range(2):
        ids = [one.id for one in some]
        assert await found(comparison, limit, within=ids) == expected(store, some, limit)


async def test_a_chunk_that_two_collections_share_is_found_once(store: Store) -> None:
    first = add(store, "a.pdf", 9, digest="same")
    second = add(store, "b.pdf", 9, model="", digest="same")
    assert first.content_id == second.content_id
    here = store.collections.scope_of("demo").ids
    assert len(here) == 2
    assert await found(Comparison(store), 20, collections=here) == expected(store, [first], 20)
    both = [first.id, second.id]
    assert await found(Comparison(store), 20, within=both) == expected(store, [first], 20)


async def test_what_comes_and_goes_is_noticed_at_once(store: Store) -> None:
    first, second = add(store, "a.pdf", 3), add(store, "b.pdf", 3)
    here = store.collections.scope_of("demo").ids
    comparison = Comparison(store)
    await found(comparison, 20, collections=here)
    third = add(store, "c.pdf", 3)
    every = [first, second, third]
    assert await found(comparison, 20, collections=here) == expected(store, every, 20)
    store.documents.mark_deleting([second.id])
    left = [first, third]
    assert await found(comparison, 20, collections=here) == expected(store, left, 20)


async def test_more_than_may_be_kept_is_read_again_and_as_right(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [add(store, f"{n}.pdf", 6) for n in range(4)]
    here = store.collections.scope_of("demo").ids
    monkeypatch.setattr(compared, "KEPT_BYTES", 20 * 8 * 2)
    comparison = Comparison(store)
    reads: list[int] = []
    blocks = Vectors.blocks

    def counted(self: Vectors, *given: Any, **options: Any) -> Iterator[Block]:
        reads.append(1)
        return blocks(self, *given, **options)

    monkeypatch.setattr(Vectors, "blocks", counted)
    for _ in range(2):
        assert await found(comparison, 5, collections=here) == expected(store, documents, 5)
    assert len(reads) == 2
    for _ in range(2):
        await found(comparison, 5, within=[documents[0].id])
    assert len(reads) == 3


async def test_searches_are_compared_one_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a.pdf", 30)
    here = store.collections.scope_of("demo").ids
    at_once, most, lock = 0, 0, threading.Lock()
    blocks = Vectors.blocks

    def watched(self: Vectors, *given: Any, **options: Any) -> Iterator[Block]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        yield from blocks(self, *given, **options)
        with lock:
            at_once -= 1

    monkeypatch.setattr(Vectors, "blocks", watched)
    monkeypatch.setattr(compared, "KEPT_BYTES", 0)
    comparison = Comparison(store)
    async with anyio.create_task_group() as searches:
        for _ in range(8):
            searches.start_soon(lambda: found(comparison, 3, collections=here))
    assert (at_once, most) == (0, 1)


async def test_nothing_to_compare_is_nothing_found(store: Store) -> None:
    assert await found(Comparison(store), 5, collections=["col_none"]) == [[], [], []]
    assert await found(Comparison(store), 5, within=[]) == [[], [], []]
