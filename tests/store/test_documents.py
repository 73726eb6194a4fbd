"""Documents in the store: one a content, one a name, and only what is ready is seen."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from api.errors import DocumentNotFound, NameTaken, NotReady
from api.store import Store
from api.store.chunks import Chunk
from api.store.collections import Scope
from api.store.contents import Extracted, Page
from api.store.documents import Added, Document
from tests.databases import open_migrated


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


def added(
    store: Store, name: str, digest: str = "", model: str = "demo", embedder: str = "tiny"
) -> Added:
    collection = store.collections.of_model(model)
    return store.documents.add(name, collection, digest or name, 10, embedder)


def add(store: Store, name: str, digest: str = "", model: str = "demo") -> Document:
    return added(store, name, digest, model).document


def scope(store: Store, model: str = "demo") -> Scope:
    return store.collections.scope_of(model)


def fill(store: Store, document: Document) -> list[int]:
    content_id = document.content_id
    store.contents.set_pages(
        content_id, Extracted("Title", (Page(1, "One."), Page(2, "Two.")), unreadable=(3,))
    )
    chunks = [Chunk(n, n + 1, "Heading", text, 1) for n, text in enumerate(["One.", "Two."])]
    ids = store.chunks.add(content_id, chunks, np.eye(2, 4, dtype=np.float32), "tiny:4", 2)
    store.documents.mark_placed(document.id, "tiny:4")
    return ids


def names(documents: list[Document]) -> list[str]:
    return [document.name for document in documents]


def test_the_same_bytes_are_the_same_document_within_a_model(store: Store) -> None:
    first = added(store, "a.pdf", "digest")
    assert first.is_new
    again = added(store, "b.pdf", "digest", "Demo:latest")
    assert again[:3] == (first.document, False, False)
    assert added(store, "a.pdf", "digest", "other").is_new


def test_two_collections_share_a_content_until_the_last_one_deletes_it(store: Store) -> None:
    first = add(store, "a.pdf", "digest")
    ids = fill(store, first)
    second, is_new, has_new_content, _ = added(store, "b.pdf", "digest", "other")
    assert (is_new, has_new_content, second.content_id) == (True, False, first.content_id)
    having = store.documents.of_content(first.content_id)
    assert {one.id for one in having} == {first.id, second.id}
    for document in (first, second):
        store.documents.mark_ready(document.id)
    store.documents.mark_deleting([first.id])
    assert [one.id for one in store.documents.of_content(first.content_id)] == [second.id]
    store.documents.remove(first.id)
    found = store.chunks.found(ids, scope(store, "other").ids)
    assert [one.document for one in found.values()] == ["b.pdf", "b.pdf"]
    store.documents.mark_deleting([second.id])
    store.documents.remove(second.id)
    assert store.contents.pages(second.content_id) == []
    assert store.chunks.ids(second.content_id) == []


def test_a_content_on_its_way_out_or_for_another_embedder_is_not_shared(store: Store) -> None:
    gone = add(store, "a.pdf", "digest")
    assert added(store, "b.pdf", "digest", "other", embedder="large").has_new_content
    store.documents.mark_deleting([gone.id])
    again = added(store, "a.pdf", "digest")
    assert again.has_new_content
    assert again.document.content_id != gone.content_id


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.PDF"])
def test_a_name_is_taken_with_and_without_its_ending(store: Store, name: str) -> None:
    add(store, "a.pdf", "first")
    with pytest.raises(NameTaken):
        add(store, name, "second")


def test_composed_and_decomposed_letters_are_one_name(store: Store) -> None:
    document = add(store, "caf\u00e9.pdf")
    store.documents.mark_ready(document.id)
    assert store.documents.find(scope(store), ["cafe\u0301"])[0].id == document.id


def test_only_ready_documents_are_listed_found_and_searched(store: Store) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    here = scope(store)
    assert store.documents.ready_in(here) == []
    assert store.chunks.found(ids, here.ids) == {}
    store.documents.mark_ready(document.id)
    assert [chunk.text for chunk in store.chunks.found(ids, here.ids).values()] == ["One.", "Two."]
    assert store.documents.get(document.id).pages_total == 3
    store.documents.mark_deleting([document.id])
    assert store.chunks.found(ids, here.ids) == {}
    with pytest.raises(DocumentNotFound):
        store.documents.find(here, ["a.pdf"])
    with pytest.raises(DocumentNotFound):
        store.documents.mark_ready(document.id)


def test_the_list_is_cut_by_a_limit_and_goes_on_after_a_name_or_an_id(store: Store) -> None:
    for name in ("c.pdf", "a.pdf", "b.pdf"):
        store.documents.mark_ready(add(store, name).id)
    shared = add(store, "b.pdf", model="")
    store.documents.mark_ready(shared.id)
    here = scope(store)
    assert names(store.documents.ready_in(here)) == ["a.pdf", "b.pdf", "b.pdf", "c.pdf"]
    first, second = store.documents.ready_in(here, limit=2)
    assert (first.name, second.name) == ("a.pdf", "b.pdf")
    rest = store.documents.ready_in(here, limit=2, after=second.id)
    assert [one.id for one in rest] != [second.id]
    assert names(rest) == ["b.pdf", "c.pdf"]
    assert names(store.documents.ready_in(here, after="c")) == []
    assert names(store.documents.ready_in(here, after="bear")) == ["c.pdf"]


def pages_of_one(store: Store, by: str) -> list[Document]:
    found: list[Document] = []
    after = None
    while page := store.documents.ready_in(scope(store), limit=1, after=after):
        found += page
        after = getattr(page[0], by)
        assert len(found) <= 10
    return found


def test_a_list_with_two_of_one_name_ends_and_by_ids_it_has_all(store: Store) -> None:
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        store.documents.mark_ready(add(store, name).id)
        store.documents.mark_ready(add(store, name, model="").id)
    assert names(pages_of_one(store, "name")) == ["a.pdf", "b.pdf", "c.pdf"]
    assert pages_of_one(store, "id") == store.documents.ready_in(scope(store))


def test_a_list_cannot_go_on_after_the_id_of_a_document_that_is_gone_but_after_its_name(
    store: Store,
) -> None:
    for name in ("a.pdf", "b.pdf"):
        store.documents.mark_ready(add(store, name).id)
    (gone,) = store.documents.ready_in(scope(store), limit=1)
    store.documents.mark_deleting([gone.id])
    with pytest.raises(DocumentNotFound, match="after the name"):
        store.documents.ready_in(scope(store), after=gone.id)
    assert names(store.documents.ready_in(scope(store), after=gone.name)) == ["b.pdf"]


def test_removing_a_document_takes_everything_of_it_and_its_ids_never_return(
    store: Store,
) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    store.documents.remove(document.id)
    assert store.contents.pages(document.content_id) == []
    assert store.vectors.owners() == {}
    assert min(fill(store, add(store, "b.pdf"))) > max(ids)


def test_vectors_come_back_as_they_were_put(store: Store) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    found, vectors = store.vectors.of_chunks(ids, "tiny:4")
    assert found.tolist() == ids
    assert vectors.tolist() == np.eye(2, 4).tolist()
    store.documents.mark_ready(document.id)
    (block,) = store.vectors.blocks("tiny:4", 10, within=[document.id])
    assert block[1].shape == (2, 4)
    here = scope(store).ids
    assert [len(one) for one, _ in store.vectors.blocks("tiny:4", 1, collections=here)] == [1, 1]
    assert list(store.vectors.blocks("large:4", 10, collections=here)) == []
    assert store.vectors.of_chunks([], "tiny:4")[1].shape == (0, 0)


def test_chunks_that_another_version_has_embedded_lack_a_vector(store: Store) -> None:
    document = add(store, "a.pdf")
    ids = fill(store, document)
    assert store.vectors.lacking(document.content_id, "tiny:4") == []
    lacking = store.vectors.lacking(document.content_id, "tiny:4@new")
    assert [(one, chunk.text) for one, chunk in lacking] == list(
        zip(ids, ["One.", "Two."], strict=True)
    )
    store.vectors.put(ids[:1], np.eye(1, 4, dtype=np.float32), "tiny:4@new")  # has both
    assert store.vectors.rename_embedder("tiny:4", "tiny:4@new")
    assert store.vectors.lacking(document.content_id, "tiny:4@new") == []
    assert not store.vectors.rename_embedder("tiny:4", "tiny:4@new")


def test_changes_tell_what_became_searchable_and_what_stopped_being_it(store: Store) -> None:
    document = add(store, "a.pdf")
    store.documents.mark_ready(document.id)
    first = store.changes.last()
    store.documents.mark_deleting([document.id])
    assert [one.kind for one in store.changes.since(0)] == ["put", "delete"]
    assert [one.kind for one in store.changes.since(first)] == ["delete"]


def test_old_changes_of_documents_that_are_gone_are_forgotten(store: Store) -> None:
    gone, there = add(store, "gone.pdf"), add(store, "there.pdf")
    for document in (gone, there):
        store.documents.mark_ready(document.id)
    store.documents.mark_deleting([gone.id])
    store.documents.remove(gone.id)
    last = store.changes.last()
    store.changes.forget_old()
    assert len(store.changes.since(0)) == 3
    store.changes.forget_old(kept=1)
    left = [(one.kind, one.document_id) for one in store.changes.since(0)]
    assert left == [("put", there.id), ("delete", gone.id)]
    assert store.changes.last() == last


def test_the_missing_documents_are_named_with_those_there_are(store: Store) -> None:
    store.documents.mark_ready(add(store, "there.pdf").id)
    with pytest.raises(DocumentNotFound, match=r"'gone' for model 'demo'.*there\.pdf"):
        store.documents.find(scope(store), ["there", "gone"])


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_document_on_its_way_is_no_missing_one_and_says_how_far_it_is(
    store: Store, by: str
) -> None:
    document = add(store, "handbook.pdf")
    asked = {"name": "handbook", "id": document.id}[by]
    with pytest.raises(NotReady, match=r"'handbook\.pdf' is still being imported\. ") as unread:
        store.documents.find(scope(store), [asked])
    assert unread.value.extra["document_id"] == document.id
    fill(store, document)
    with pytest.raises(NotReady, match="still being imported, page 2 of 3") as refused:
        store.documents.find(scope(store), [asked])
    assert refused.value.retry_after_seconds
    with pytest.raises(DocumentNotFound) as missing:
        store.documents.find(scope(store), [asked, "gone"])
    assert missing.value.extra["missing"] == ["gone"]
    store.documents.mark_ready(document.id)
    assert store.documents.find(scope(store), [asked])[0].id == document.id


def test_a_failed_document_makes_room_for_its_name(store: Store) -> None:
    failed = add(store, "a.pdf", "first")
    store.documents.mark_failed(failed.id, {"status": 422})
    assert store.documents.get(failed.id).error == {"status": 422}
    again = add(store, "a.pdf", "second")
    assert [one.id for one in store.documents.all()] == [again.id]
