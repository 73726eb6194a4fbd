"""A deleted document is gone at once, and in the end without a trace."""

import asyncio
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from api.errors import ApiError, BackEndFailed, DocumentNotFound, Unavailable
from api.index.lexical import Damaged
from api.index.values import Wanted
from api.store.documents import Document
from tests.documents.house import House
from tests.documents.pdfs import drawing_only, pdf
from tests.index.memory import FailingVectors

pytestmark = pytest.mark.anyio

ONE = pdf("The tower is 90 metres high.")
TWO = pdf("The bridge was built in 1901.")


async def test_a_deleted_document_is_neither_listed_nor_found_from_now_on(house: House) -> None:
    document, _ = await house.bring(ONE, "one.pdf")
    await house.bring(TWO, "two.pdf")
    await house.deleter.delete_document(house.scope(), "one")
    assert [one.name for one in house.documents_of("demo")] == ["two.pdf"]
    (found,) = await house.index.candidates(
        house.scope(), [Wanted("How high is the tower?")], None, 10
    )
    hits = house.found([hit.chunk_id for hit in found.dense + found.lexical])
    assert {chunk.document for chunk in hits.values()} <= {"two.pdf"}
    await house.deleter.settled()
    assert document.id not in house.kept()
    assert house.is_whole()


@pytest.mark.parametrize("spelling", ["one", "one.pdf", "id"])
async def test_a_document_is_named_with_or_without_pdf_or_by_id(
    house: House, spelling: str
) -> None:
    document, _ = await house.bring(ONE, "one.pdf")
    await house.deleter.delete_document(
        house.scope(), document.id if spelling == "id" else spelling
    )
    await house.deleter.settled()
    assert house.is_empty()


async def test_deleting_an_unknown_document_names_those_there_are(house: House) -> None:
    await house.bring(ONE, "one.pdf")
    await house.bring(TWO, "two.pdf", "other")
    with pytest.raises(DocumentNotFound, match=r"Documents: one\.pdf"):
        await house.deleter.delete_document(house.scope(), "two.pdf")


async def test_deleting_all_takes_the_own_documents_and_leaves_those_for_all_models(
    house: House,
) -> None:
    await house.bring(ONE, "one.pdf")
    await house.bring(TWO, "two.pdf")
    shared, _ = await house.bring(TWO, "shared.pdf", "")
    deleted = await house.deleter.delete_all(house.store.collections.of_model("Demo:latest"))
    await house.deleter.settled()
    assert {one.name for one in deleted} == {"one.pdf", "two.pdf"}
    assert house.documents_of("demo") == [shared]
    assert house.vector_ids() == set(house.chunk_ids(shared))
    assert await house.deleter.delete_all(house.store.collections.of_model("demo")) == []


async def test_a_document_that_is_deleted_before_its_file_is_in_place_leaves_nothing(
    house: House,
) -> None:
    held = house.hold_files()
    importing = asyncio.create_task(house.bring(ONE, "a.pdf"))
    await run_sync(held.is_held.wait)
    await house.deleter.delete_document(house.scope(), "a")
    await held.until_all_else_waits()
    held.is_let_go.set()
    with pytest.raises(ApiError):
        await importing
    await house.deleter.settled()
    assert house.is_empty()


@pytest.mark.parametrize("wait", [True, False])
async def test_a_collection_that_is_deleted_during_an_import_into_it_leaves_nothing(
    house: House, wait: bool
) -> None:
    collection = house.store.collections.of_model("demo")
    await house.bring(TWO, "two.pdf")
    held = house.hold_files()
    importing = asyncio.create_task(house.bring(ONE, "one.pdf", wait=wait))
    await run_sync(held.is_held.wait)
    deleted = await house.deleter.delete_collection(collection)
    assert {one.name for one in deleted} == {"one.pdf", "two.pdf"}
    await held.until_all_else_waits()
    held.is_let_go.set()
    if wait:
        with pytest.raises(ApiError):
            await importing
    else:
        await importing
    await house.deleter.settled()
    assert house.is_empty()
    assert house.store.collections.names([collection.id]) == {}


async def test_the_models_own_document_goes_before_one_for_all_models(house: House) -> None:
    own, _ = await house.bring(ONE, "a.pdf")
    await house.bring(TWO, "a.pdf", "")
    assert (await house.deleter.delete_document(house.scope(), "a")).id == own.id
    assert (await house.deleter.delete_document(house.scope(), "a")).is_for_all


async def test_a_word_index_made_anew_holds_what_old_changes_told(house: House) -> None:
    await house.bring(ONE, "one.pdf")
    await house.bring(TWO, "two.pdf")
    await house.deleter.delete_document(house.scope(), "one")
    await house.deleter.settled()
    house.store.changes.forget_old(kept=1)
    house.lexical.clear()
    await house.index.catch_up()
    assert house.is_whole()


async def test_a_failed_document_can_be_deleted(house: House) -> None:
    document, _ = await house.bring(drawing_only(), "bad.pdf", wait=False)
    assert (await house.ended(document)).status == "failed"
    await house.deleter.delete_document(house.scope(), "bad")
    await house.deleter.settled()
    assert house.is_empty()


async def test_a_name_is_free_again_as_soon_as_its_document_is_deleted(house: House) -> None:
    await house.bring(ONE, "a.pdf")
    await house.deleter.delete_document(house.scope(), "a")
    again, is_new = await house.bring(ONE, "a.pdf")
    await house.deleter.settled()
    assert is_new
    assert house.vector_ids() == set(house.chunk_ids(again))
    assert house.lexical.ids() == house.vector_ids()


async def test_a_delete_that_cannot_end_now_ends_at_the_next_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.bring(ONE, "a.pdf")

    def away(*_: object) -> None:
        raise Unavailable("The vector store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(house.vectors, "sets", away)
        await house.deleter.delete_document(house.scope(), "a")
        await house.close()
    house.open()
    assert [one.status for one in house.store.documents.all()] == ["deleting"]
    await house.deleter.resume()
    await house.deleter.settled()
    assert house.is_empty()


async def test_a_delete_ends_while_the_vector_store_fails(
    failing: FailingVectors, tmp_path: Path
) -> None:
    house = House(tmp_path, vectors=failing).open()
    await house.bring(ONE, "a.pdf")
    failing.error = BackEndFailed("The segment is torn.")
    await house.deleter.delete_document(house.scope(), "a")
    await house.deleter.settled()
    assert house.store.documents.all() == []
    failing.error = None
    assert house.vector_ids()
    while not house.is_empty():
        await asyncio.sleep(0.01)
    await house.close()


@pytest.mark.parametrize("error", [Damaged("torn"), RuntimeError("a defect"), ZeroDivisionError()])
async def test_a_delete_that_fails_stops_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bad, _ = await house.bring(ONE, "bad.pdf")
    await house.bring(TWO, "good.pdf")
    remove = house.index.remove

    async def fails_for_one(document: Document) -> None:
        if document.id == bad.id:
            raise error
        await remove(document)

    with monkeypatch.context() as patch:
        patch.setattr("api.documents.deleting.RETRY_SECONDS", 0.05)
        patch.setattr(house.index, "remove", fails_for_one)
        await house.deleter.delete_document(house.scope(), "bad")
        await asyncio.sleep(0.02)
        await house.deleter.delete_document(house.scope(), "good")
        while len(house.store.documents.all()) > 1:
            await asyncio.sleep(0.01)
        assert [one.id for one in house.store.documents.all("deleting")] == [bad.id]
        patch.setattr(house.index, "remove", remove)
        await house.deleter.settled()
    assert house.is_empty()


def test_a_damaged_word_index_is_an_error_of_ours() -> None:
    assert issubclass(Damaged, ApiError)
