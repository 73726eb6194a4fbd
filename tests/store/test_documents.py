"""Documents in the store: one a content, one a name, and only what is ready is seen."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from api.errors import DocumentNotFound, NameTaken
from api.store import Store, open_store
from api.store.documents import Chunk, Document, Page


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    store = open_store(tmp_path / "state.sqlite3")
    yield store
    store.close()


def add(store: Store, name: str, digest: str = "", model: str = "demo") -> Document:
    return store.documents.add(name, model, digest or name, 10)[0]


def fill(store: Store, document: Document) -> list[int]:
    store.documents.set_pages(document.id, [Page(1, "One."), Page(2, "Two.")], "Title", [3])
    chunks = [Chunk(n, n + 1, "Heading", text, 1) for n, text in enumerate(["One.", "Two."])]
    vectors = np.eye(2, 4, dtype=np.float32)
    return store.documents.add_chunks(document.id, chunks, vectors, "tiny:4", 2)


def test_the_same_bytes_are_the_same_document_within_a_model(store: Store) -> None:
    first, is_new = store.documents.add("a.pdf", "demo", "digest", 10)
    assert is_new
    assert store.documents.add("b.pdf", "Demo:latest", "digest", 10) == (first, False)
    assert store.documents.add("a.pdf", "other", "digest", 10)[1]


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.PDF"])
def test_a_name_is_taken_with_and_without_its_ending(store: Store, name: str) -> None:
    add(store, "a.pdf", "first")
    with pytest.raises(NameTaken):
        add(store, name, "second")


def test_composed_and_decomposed_letters_are_one_name(store: Store) -> None:
    document = add(store, "caf\u00e9.pdf")
    store.documents.mark_ready(document.id)
    assert store.documents.find("demo", ["cafe\u0301"])[0].id == document.id


def test_only_ready_documents_are_listed_found_and_searched(store: Store) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    assert store.documents.of_model("demo") == []
    assert store.documents.chunks(ids) == {}
    store.documents.mark_ready(document.id)
    assert [chunk.text for chunk in store.documents.chunks(ids).values()] == ["One.", "Two."]
    assert store.documents.get(document.id).pages_total == 3
    store.documents.mark_deleting([document.id])
    assert store.index_source.ready_chunk_ids(ids) == set()
    with pytest.raises(DocumentNotFound):
        store.documents.find("demo", ["a.pdf"])
    with pytest.raises(DocumentNotFound):
        store.documents.mark_ready(document.id)


def test_removing_a_document_takes_everything_of_it_and_its_ids_never_return(
    store: Store,
) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    store.documents.remove(document.id)
    assert store.documents.pages(document.id) == []
    assert store.index_source.vector_owners() == {}
    assert min(fill(store, add(store, "b.pdf"))) > max(ids)


def test_vectors_come_back_as_they_were_put(store: Store) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    found, vectors = store.index_source.vectors(ids)
    assert found.tolist() == ids
    assert vectors.tolist() == np.eye(2, 4).tolist()
    assert store.index_source.vectors_of([document.id])[1].shape == (2, 4)
    assert store.index_source.vectors_of([])[1].shape == (0, 0)


def test_changes_tell_what_became_searchable_and_what_stopped_being_it(store: Store) -> None:
    document = add(store, "a.pdf")
    store.documents.mark_ready(document.id)
    first = store.index_source.last_change()
    store.documents.mark_deleting([document.id])
    assert [one.kind for one in store.index_source.changes(0)] == ["put", "delete"]
    assert [one.kind for one in store.index_source.changes(first)] == ["delete"]


def test_old_changes_of_documents_that_are_gone_are_forgotten(store: Store) -> None:
    gone, there = add(store, "gone.pdf"), add(store, "there.pdf")
    for document in (gone, there):
        store.documents.mark_ready(document.id)
    store.documents.mark_deleting([gone.id])
    store.documents.remove(gone.id)
    last = store.index_source.last_change()
    store.index_source.forget_old_changes()
    assert len(store.index_source.changes(0)) == 3
    store.index_source.forget_old_changes(kept=1)
    left = [(one.kind, one.document_id) for one in store.index_source.changes(0)]
    assert left == [("put", there.id), ("delete", gone.id)]
    assert store.index_source.last_change() == last


def test_the_missing_documents_are_named_with_those_there_are(store: Store) -> None:
    store.documents.mark_ready(add(store, "there.pdf").id)
    with pytest.raises(DocumentNotFound, match=r"'gone'.*there\.pdf"):
        store.documents.find("demo", ["there", "gone"])


def test_a_failed_document_makes_room_for_its_name(store: Store) -> None:
    failed = add(store, "a.pdf", "first")
    store.documents.mark_failed(failed.id, {"status": 422})
    assert store.documents.get(failed.id).error == {"status": 422}
    again = add(store, "a.pdf", "second")
    assert [one.id for one in store.documents.all()] == [again.id]
