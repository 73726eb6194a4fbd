"""Files of collections in the store: one with their documents in one moment, whatever becomes of those."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.store import Store
from api.store.collection_files import NewFile
from api.store.collections import Collection
from api.store.documents import Added
from api.store.keyset import Part
from tests.databases import open_migrated


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    store = open_migrated(tmp_path / "state.sqlite3")
    yield store
    store.close()


@pytest.fixture
def ours(store: Store) -> Collection:
    """A collection for which two files wait."""
    made = store.collection_cards.create("ours", {}, None)
    store.collection_files.add(made.id, [NewFile("file_1", "a.txt"), NewFile("file_2", "a.txt")])
    return made


def come(store: Store, ours: Collection, file_id: str = "", name: str = "a.txt") -> Added:
    return store.documents.add(name, ours, "digest", 10, "tiny", file_id=file_id)


def shown(store: Store, ours: Collection) -> dict[str, str]:
    page, _ = store.collection_files.page(ours.id, Part())
    return {one.file_id: one.status for one in page}


def test_files_of_the_same_bytes_are_one_document_from_the_moment_it_is_there(
    store: Store, ours: Collection
) -> None:
    document = come(store, ours, "file_1").document
    assert shown(store, ours) == {"file_1": "in_progress", "file_2": "in_progress"}
    assert come(store, ours, "file_2").document == document
    store.documents.mark_ready(document.id)
    assert shown(store, ours) == {"file_1": "completed", "file_2": "completed"}
    assert store.collection_files.waiting(9) == []
    store.documents.mark_deleting([document.id])
    assert shown(store, ours) == {}
    store.documents.remove(document.id)
    assert shown(store, ours) == {}


def test_a_document_that_came_without_a_file_stays_one_for_itself(
    store: Store, ours: Collection
) -> None:
    document = come(store, ours).document
    come(store, ours, "file_1")
    assert set(shown(store, ours)) == {document.id, "file_1", "file_2"}
    store.collection_files.forget(ours.id, ["file_1"])
    assert set(shown(store, ours)) == {document.id, "file_2"}


def test_a_file_waits_again_when_its_document_is_forgotten_before_it_was_kept(
    store: Store, ours: Collection
) -> None:
    document = come(store, ours, "file_1").document
    assert [one.file_id for one in store.collection_files.waiting(9)] == ["file_2"]
    store.documents.remove(document.id)
    assert [one.file_id for one in store.collection_files.waiting(9)] == ["file_1", "file_2"]


def test_files_go_with_the_newer_version_that_they_came_for(store: Store, ours: Collection) -> None:
    old = store.documents.add("a.txt", ours, "old", 10, "tiny").document
    store.documents.mark_ready(old.id)
    newer = store.documents.add("a.txt", ours, "digest", 10, "tiny", replace=True).document
    come(store, ours, "file_1", "b.txt")
    assert shown(store, ours)["file_1"] == "in_progress"
    _, left = store.replacements.take_place(newer.id)
    store.documents.remove(left.id)
    assert shown(store, ours) == {
        old.id: "completed",
        "file_1": "completed",
        "file_2": "in_progress",
    }


def test_files_wait_again_when_the_newer_version_that_they_came_for_is_given_up(
    store: Store, ours: Collection
) -> None:
    old = store.documents.add("a.txt", ours, "old", 10, "tiny").document
    store.documents.mark_ready(old.id)
    store.documents.add("a.txt", ours, "digest", 10, "tiny", replace=True)
    come(store, ours, "file_1", "b.txt")
    (given_up,) = store.documents.add("a.txt", ours, "third", 10, "tiny", replace=True).given_up
    store.documents.remove(given_up.id)
    assert [one.file_id for one in store.collection_files.waiting(9)] == ["file_1", "file_2"]


def test_files_that_are_cancelled_go_with_the_documents_that_are_theirs_alone(
    store: Store, ours: Collection
) -> None:
    names = ("file_3", "file_4", "file_5")
    store.collection_files.add(ours.id, [NewFile(name, f"{name}.txt") for name in names])
    mine = store.documents.add("c.txt", ours, "third", 10, "tiny", file_id="file_3").document
    there = store.documents.add("d.txt", ours, "fourth", 10, "tiny", file_id="file_4").document
    store.documents.mark_ready(there.id)
    come(store, ours, "file_1")
    come(store, ours, "file_2")  # the same document
    gone = store.documents.cancel_files(ours.id, ["file_1", *names, "never"])
    assert [one.id for one in gone] == [mine.id]
    assert shown(store, ours) == {
        **dict.fromkeys(("file_1", "file_3", "file_5"), "cancelled"),
        "file_2": "in_progress",
        "file_4": "completed",
    }
    assert [one.id for one in store.documents.all("deleting")] == [mine.id]


def test_a_file_of_a_newer_version_waits_again_when_the_document_is_deleted(
    store: Store, ours: Collection
) -> None:
    old = store.documents.add("a.txt", ours, "old", 10, "tiny").document
    store.documents.mark_ready(old.id)
    newer = store.documents.add("a.txt", ours, "digest", 10, "tiny", replace=True).document
    come(store, ours, "file_1", "b.txt")
    store.documents.mark_deleting([old.id])
    for one in (newer, old):
        store.documents.remove(one.id)
    assert [one.file_id for one in store.collection_files.waiting(9)] == ["file_1", "file_2"]


def test_a_file_that_failed_stays_when_its_document_makes_room(
    store: Store, ours: Collection
) -> None:
    document = come(store, ours, "file_1").document
    store.documents.mark_failed(document.id, {"detail": "broken"})
    store.documents.add("a.txt", ours, "other", 10, "tiny")
    failed = store.collection_files.find(ours.id, "file_1")
    assert (failed.status, failed.error) == ("failed", {"detail": "broken"})


def test_what_failed_for_two_files_stays_for_one_when_the_other_is_tried_again(
    store: Store, ours: Collection
) -> None:
    document = come(store, ours, "file_1").document
    come(store, ours, "file_2")
    store.documents.mark_failed(document.id, {"detail": "broken"})
    again = store.collection_files.add
    assert again(ours.id, [NewFile("file_1", "a.txt")]) == []
    assert shown(store, ours) == {"file_1": "in_progress", "file_2": "failed"}
    assert again(ours.id, [NewFile("file_2", "a.txt")]) == [document.id]


def test_collections_take_turns(store: Store, ours: Collection) -> None:
    other = store.collection_cards.create("other", {}, None)
    store.collection_files.add(other.id, [NewFile("file_9", "b.txt")])
    waiting = [one.file_id for one in store.collection_files.waiting(9)]
    assert waiting == ["file_1", "file_9", "file_2"]
    assert store.documents.free_name(ours.id, "a.txt") == "a.txt"
    come(store, ours)
    assert store.documents.free_name(ours.id, "A.TXT") == "A.TXT"
    assert store.documents.free_name(ours.id, "a.txt") == "a (2).txt"


def test_a_collection_takes_its_files_along(store: Store, ours: Collection) -> None:
    store.documents.mark_collection_deleting(ours)
    assert store.collection_files.waiting(9) == []
    assert store.collection_files.of_file("file_1") == []
