"""What an import leaves behind, whatever happens on the way."""

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.documents.files import Files, Label
from api.documents.importing import Importer
from api.errors import (
    BackEndFailed,
    DocumentNotFound,
    DocumentUnusable,
    NameTaken,
    OutOfSpace,
    Unavailable,
)
from api.index.embeddings import Embedder, Vectors
from api.index.values import VectorSet, Wanted
from api.runtime import ModelRef
from api.runtime.training import Training
from api.store.documents import Document
from tests.documents.house import BOUNDS, House
from tests.documents.pdfs import drawing_only, encrypted, handbook, pdf
from tests.fakes import FakeRuntime
from tests.index.memory import FailingVectors

pytestmark = pytest.mark.anyio

HANDBOOK = handbook(
    [
        ("Parking", "The parking fee of the north garage is 45 euros a month. Ask the desk."),
        ("Holidays", "Every employee has 30 days of holiday a year. Ten may be carried over."),
        ("Lunch", "The canteen opens at 11:45 and closes at 14:00."),
        ("Badges", "A lost badge costs 20 euros. Report it to the front desk at once."),
        ("Travel", "Trains are booked in second class. Flights need a signature."),
        ("Laptops", "A laptop is replaced every four years."),
    ]
)
LONG = pdf(*(f"Page {n} tells of the river number {n}.\n" * 12 for n in range(12)))


async def test_an_imported_document_is_ready_and_its_words_and_meanings_are_found(
    house: House,
) -> None:
    document, is_new = await house.bring(HANDBOOK, "Handbook.pdf")
    assert is_new
    assert (document.status, document.title) == ("ready", "Staff handbook")
    assert (document.pages_done, document.pages_total) == (2, 2)
    assert house.is_whole()
    question = "How much is the parking fee of the north garage?"
    (found,) = await house.index.candidates(house.scope(), [Wanted(question)], None, 10)
    best = house.found([found.dense[0].chunk_id, found.lexical[0].chunk_id])
    assert {(chunk.heading, chunk.page) for chunk in best.values()} == {("Parking", 1)}
    assert house.files.path(document.id).read_bytes() == HANDBOOK
    assert not list((house.folder / "uploads").iterdir())


async def test_every_chunk_stands_verbatim_on_its_page(house: House) -> None:
    document, _ = await house.bring(HANDBOOK)
    pages = {page.number: page.text for page in house.store.contents.pages(document.content_id)}
    ids = house.chunk_ids(document)
    chunks = house.found(ids)
    assert len(chunks) == len(ids) > 1
    assert all(chunk.text in pages[chunk.page] for chunk in chunks.values())


async def test_importing_the_same_file_twice_changes_nothing(house: House) -> None:
    first, _ = await house.bring(HANDBOOK, "a.pdf")
    embedded = len(house.runtime.embedded)
    again, is_new = await house.bring(HANDBOOK, "b.pdf")
    assert (again, is_new) == (first, False)
    assert len(house.runtime.embedded) == embedded
    assert len(house.kept()) == 1
    assert not list((house.folder / "uploads").iterdir())


async def test_the_same_bytes_at_the_same_time_are_one_document(house: House) -> None:
    outcomes = await asyncio.gather(*(house.bring(HANDBOOK) for _ in range(4)))
    assert len({document.id for document, _ in outcomes}) == 1
    assert sum(is_new for _, is_new in outcomes) == 1
    assert all(document.status == "ready" for document, _ in outcomes)
    assert house.runtime.embedded.count(house.runtime.embedded[0]) == 1


async def test_a_name_belongs_to_one_content_within_a_model(house: House) -> None:
    await house.bring(HANDBOOK, "a.pdf", "demo")
    with pytest.raises(NameTaken):
        await house.bring(pdf("Other words."), "A.pdf".lower(), "demo")
    other, _ = await house.bring(pdf("Other words."), "a.pdf", "other")
    assert other.status == "ready"
    assert len(house.kept()) == 2
    assert not list((house.folder / "uploads").iterdir())


class FullFiles(Files):
    """Files on a disk that is full."""

    def relabel(self, content_id: str, labels: Sequence[Label]) -> None:
        """No room."""
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("is_shared", [True, False])
async def test_an_import_whose_label_finds_no_room_is_refused_and_leaves_nothing(
    house: House, is_shared: bool
) -> None:
    other, _ = await house.bring(HANDBOOK, "a.pdf", "other")
    house.importer.files = FullFiles(house.folders.documents)
    with pytest.raises(OutOfSpace):
        await house.bring(HANDBOOK if is_shared else LONG, "b.pdf")
    assert house.store.documents.all() == [other]
    assert house.is_whole()
    assert not list((house.folder / "uploads").iterdir())


async def test_without_waiting_the_answer_comes_at_once_and_the_pages_count_up(
    house: House,
) -> None:
    document, is_new = await house.bring(LONG, wait=False)
    assert (document.status, is_new) == ("importing", True)
    assert house.documents_of("demo") == []
    seen = set()
    while (now := house.store.documents.get(document.id)).status == "importing":
        seen.add(now.pages_done)
        await asyncio.sleep(0)
    assert (now.status, now.pages_done) == ("ready", 12)
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut", "broken"),
        ("locked", "encrypted"),
        ("drawing", "no_text"),
        ("pages", "too_many_pages"),
    ],
)
async def test_nothing_is_left_of_a_file_that_cannot_be_used(
    house: House, tmp_path: Path, kind: str, reason: str
) -> None:
    content = {
        "cut": HANDBOOK[:400],
        "locked": encrypted(HANDBOOK, tmp_path, "secret"),
        "drawing": drawing_only(),
        "pages": pdf(*["page"] * 51),
    }[kind]
    with pytest.raises(DocumentUnusable) as refusal:
        await house.bring(content)
    assert refusal.value.reason == reason
    assert house.is_empty()


async def test_a_failure_nobody_waited_for_is_kept_until_the_name_is_used_again(
    house: House,
) -> None:
    document, _ = await house.bring(drawing_only(), wait=False)
    failed = await house.ended(document)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error["status"], failed.error["reason"]) == (422, "no_text")
    assert house.kept() == set()
    again, is_new = await house.bring(HANDBOOK)
    assert is_new
    assert [one.id for one in house.store.documents.all()] == [again.id]


async def test_a_failing_embedder_leaves_nothing_and_a_retry_gives_one_document(
    house: House,
) -> None:
    house.runtime.available = False
    with pytest.raises(Unavailable):
        await house.bring(HANDBOOK)
    assert house.is_empty()
    house.runtime.available = True
    await house.bring(HANDBOOK)
    assert len(house.store.documents.all()) == 1


async def test_a_failure_inside_the_service_says_nothing_of_its_inside(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(house.vectors, "put", breaks)
    document, _ = await house.bring(HANDBOOK, wait=False)
    failed = await house.ended(document)
    assert failed.error is not None
    assert failed.error["status"] == 500
    assert "secret" not in str(failed.error)


@pytest.mark.parametrize("wait", [True, False])
async def test_a_vector_store_that_fails_keeps_no_import_from_its_end(
    failing: FailingVectors, tmp_path: Path, wait: bool
) -> None:
    house = House(tmp_path, vectors=failing).open()
    failing.error = BackEndFailed("The segment is torn.")
    document, _ = await house.bring(HANDBOOK, wait=wait)
    assert (await house.ended(document)).status == "ready"
    failing.error = None
    while not house.is_whole():
        await asyncio.sleep(0.01)
    await house.close()


@pytest.mark.parametrize("error", [BackEndFailed("torn"), OutOfSpace("full")])
@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.usefixtures("failing")
async def test_a_failed_import_ends_when_the_vector_store_fails_too(
    tmp_path: Path, wait: bool, error: Exception
) -> None:
    class TearingVectors(FailingVectors):
        def put(self, where: VectorSet, ids: Sequence[int], vectors: Vectors) -> None:
            super().put(where, ids, vectors)
            self.error = error
            raise ZeroDivisionError("a bug")

    torn = TearingVectors()
    house = House(tmp_path, vectors=torn).open()
    if wait:
        with pytest.raises(ZeroDivisionError):
            await house.bring(LONG)
        assert house.store.documents.all() == []
    else:
        document, _ = await house.bring(LONG, wait=False)
        assert (await house.ended(document)).status == "failed"
    assert house.kept() == set()
    torn.error = None
    assert house.vector_ids()
    while house.vector_ids():
        await asyncio.sleep(0.01)
    await house.close()


async def test_half_done_imports_are_finished_at_the_next_start(house: House) -> None:
    document, _ = await house.bring(HANDBOOK, wait=False)
    await house.importer.close()
    assert house.store.documents.get(document.id).status == "importing"
    await house.close()
    house.open()
    await house.importer.resume()
    again, is_new = await house.bring(HANDBOOK)  # waits for the import that goes on
    assert (again.id, again.status, is_new) == (document.id, "ready", False)
    assert house.is_whole()


LOOK = ["dimension"]
"""What an embedder embeds to see how long its vectors are."""


class TiredRuntime(FakeRuntime):
    """A fake that embeds one batch and is away from then on."""

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """Vectors, as long as it is there."""
        vectors = await super().embed(model, texts)
        self.available = texts == LOOK
        return vectors


@pytest.fixture
async def interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[House, Document]]:
    """A house at its next start, and a document of which some chunks are embedded."""
    monkeypatch.setattr("api.index.turns.ALONE_TOKENS", 400)
    house = House(tmp_path, runtime=TiredRuntime()).open()
    document, _ = await house.bring(LONG, wait=False)
    while not house.store.chunks.count(document.content_id):
        await asyncio.sleep(0.01)
    await house.close()
    house.runtime = FakeRuntime()
    house.open()
    await house.index.repair()  # the last batch may lack its vectors
    yield house, document
    await house.close()


async def test_what_an_interrupted_import_has_embedded_is_not_embedded_again(
    interrupted: tuple[House, Document],
) -> None:
    house, document = interrupted
    kept = house.chunk_ids(document)
    await house.importer.resume()
    assert (await house.bring(LONG))[0].status == "ready"  # waits for the import that goes on
    ids = house.chunk_ids(document)
    assert ids[: len(kept)] == kept
    assert len(house.runtime.embedded) == len(LOOK) + len(ids) - len(kept)
    assert house.is_whole()


async def test_an_import_goes_on_with_the_embedder_that_it_began_with(
    interrupted: tuple[House, Document],
) -> None:
    house, document = interrupted
    kept = house.chunk_ids(document)
    both = FakeRuntime(embedding_model="other")
    both.add_models_of(house.runtime)
    house.index.embedder = Embedder(both, "other")
    await house.importer.resume()
    done, _ = await house.bring(LONG)
    assert (done.status, done.embedder.split(":")[0]) == ("ready", "all-minilm-l6-v2-int8")
    assert house.chunk_ids(document)[: len(kept)] == kept
    second, _ = await house.bring(HANDBOOK, model="ada")
    assert second.embedder.startswith("other:")


async def test_chunks_that_are_cut_otherwise_now_are_not_kept(
    interrupted: tuple[House, Document],
) -> None:
    house, document = interrupted
    kept = house.chunk_ids(document)
    house.importer = Importer(
        house.store, house.index, house.files, BOUNDS, chunk_tokens=30, overlap_tokens=4
    )
    await house.importer.resume()
    done, _ = await house.bring(LONG)
    assert done.status == "ready"
    assert not set(kept) & set(house.chunk_ids(document))
    assert house.is_whole()


async def test_an_import_that_began_before_the_resuming_is_not_done_twice(house: House) -> None:
    document, _ = await house.bring(HANDBOOK, wait=False)
    await house.importer.resume()
    assert (await house.bring(HANDBOOK))[0].status == "ready"
    assert house.store.documents.get(document.id).status == "ready"
    assert house.is_whole()


async def test_what_has_no_file_or_no_row_is_swept_at_the_next_start(house: House) -> None:
    demo = house.store.collections.of_model("demo")
    house.store.documents.add("lost.pdf", demo, "0" * 64, 10, "all-minilm-l6-v2-int8")
    house.files.path("doc_0123456789abcdef").write_bytes(b"%PDF")
    await house.importer.resume()
    assert house.store.documents.all() == []
    assert house.kept() == set()


async def test_a_document_deleted_while_it_is_imported_leaves_nothing(house: House) -> None:
    document, _ = await house.bring(HANDBOOK, wait=False)
    await house.deleter.delete_document(house.scope(), "a")
    with pytest.raises(DocumentNotFound):
        house.store.documents.get(document.id)
    await house.deleter.settled()
    assert house.is_empty()


@pytest.mark.parametrize("wait", [True, False])
async def test_an_import_waits_while_a_job_trains_where_the_embedding_model_is_loaded(
    tmp_path: Path, wait: bool
) -> None:
    runtime = FakeRuntime(device="gpu")
    house = House(tmp_path, runtime=runtime).open()
    runtime.reserve([Training("job_1", "gpu", ends_at=datetime.now(UTC))])
    importing = asyncio.create_task(house.bring(HANDBOOK, wait=wait))
    while not (there := house.store.documents.all()):
        await asyncio.sleep(0.01)
    if not wait:
        await asyncio.wait([importing])
    await asyncio.sleep(0.3)
    assert house.store.documents.get(there[0].id).status == "importing"
    assert importing.done() != wait
    runtime.reserve([])
    assert (await house.ended(there[0])).status == "ready"
    await importing
    await house.close()
