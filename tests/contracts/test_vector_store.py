"""What every VectorStore does: the one in memory, embedded Chroma, and a Chroma server."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from api.errors import EmbeddingMismatch
from api.index.chroma import open_embedded
from api.index.chroma_server import open_server
from api.index.embeddings import Vectors
from api.index.values import VectorSet
from api.index.vector_store import VectorStore
from tests.index.memory import MemoryVectors
from tests.index.servers import ChromaServer, chroma_server

LIBRARY = VectorSet("col_demo", "tiny:4")
OTHER = VectorSet("col_all", "tiny:4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """A real `chroma run` on a free loopback port."""
    with chroma_server(tmp_path_factory.mktemp("server")) as server:
        yield server.start()


@pytest.fixture(params=["memory", "embedded", "server"])
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    """Each kind in turn, empty."""
    store: VectorStore
    if request.param == "memory":
        store = MemoryVectors()
    elif request.param == "embedded":
        store = open_embedded(tmp_path / "chroma")
    else:
        store = open_server(request.getfixturevalue("server").url)
    yield store
    for one in store.sets():
        store.drop(one)
    store.close()


def rows(*values: tuple[float, ...]) -> Vectors:
    matrix = np.array(values, dtype=np.float32)
    lengths: Vectors = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / lengths


THREE = rows((1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0))


def test_the_nearest_come_first_with_their_cosine(vectors: VectorStore) -> None:
    vectors.put(LIBRARY, [10, 11, 12], THREE)
    along, across = vectors.query(LIBRARY, rows((1, 0, 0, 0), (0, 0, 1, 0)), 2)
    assert [hit.chunk_id for hit in along] == [10, 11]
    assert [hit.score for hit in along] == pytest.approx([1.0, 0.5**0.5], abs=1e-4)
    assert across[0].chunk_id == 12


def test_a_limit_beyond_what_is_there_gives_what_is_there(vectors: VectorStore) -> None:
    vectors.put(LIBRARY, [1, 2, 3], THREE)
    vectors.delete(LIBRARY, [2])
    (hits,) = vectors.query(LIBRARY, THREE[:1], 100)
    assert {hit.chunk_id for hit in hits} == {1, 3}


def test_an_id_that_is_there_keeps_its_vector(vectors: VectorStore) -> None:
    vectors.put(LIBRARY, [1], THREE[:1])
    vectors.put(LIBRARY, [1, 2], THREE[1:])
    (hits,) = vectors.query(LIBRARY, THREE[:1], 5)
    assert [(hit.chunk_id, round(hit.score, 4)) for hit in hits] == [(1, 1.0), (2, 0.0)]
    vectors.delete(LIBRARY, [1])
    vectors.put(LIBRARY, [1], THREE[1:2])
    (hits,) = vectors.query(LIBRARY, THREE[1:2], 1)
    assert [(hit.chunk_id, round(hit.score, 4)) for hit in hits] == [(1, 1.0)]


def test_sets_do_not_mix_and_tell_whose_they_are(vectors: VectorStore) -> None:
    vectors.put(LIBRARY, [1], THREE[:1])
    vectors.put(OTHER, [2], THREE[:1])
    assert vectors.sets() == {LIBRARY, OTHER}
    assert (vectors.ids(LIBRARY), vectors.ids(OTHER)) == ({1}, {2})
    vectors.drop(LIBRARY)
    assert vectors.sets() == {OTHER}


def test_what_is_not_there_is_empty_and_can_be_deleted(vectors: VectorStore) -> None:
    assert vectors.query(LIBRARY, THREE, 3) == [[], [], []]
    assert vectors.ids(LIBRARY) == set()
    vectors.delete(LIBRARY, [1])
    vectors.drop(LIBRARY)
    vectors.put(LIBRARY, [1], THREE[:1])
    vectors.delete(LIBRARY, [77])
    assert vectors.ids(LIBRARY) == {1}


def test_vectors_of_another_dimension_are_refused(vectors: VectorStore) -> None:
    vectors.put(LIBRARY, [1], THREE[:1])
    with pytest.raises(EmbeddingMismatch):
        vectors.put(LIBRARY, [2], rows((1, 0)))
    with pytest.raises(EmbeddingMismatch):
        vectors.query(LIBRARY, rows((1, 0)), 1)


def test_it_can_be_checked(vectors: VectorStore) -> None:
    vectors.check()
