"""What the doctor finds between database, indexes and files, and what it puts right."""

import pytest

from api.data_folder.findings import Finding
from api.documents.doctor import examine
from api.documents.embedders import examine as examine_embedders
from tests.documents.house import House
from tests.documents.pdfs import pdf
from tests.index.test_index import replaced_weights

pytestmark = pytest.mark.anyio


async def test_a_sound_house_has_no_finding(house: House) -> None:
    await house.bring(pdf("All is well."))
    assert await _examine(house, repair=True) == []


async def test_what_does_not_fit_together_is_found_and_put_right(house: House) -> None:
    await house.bring(pdf("The tower is high."), "tower.pdf")
    house.files.path("doc_0123456789abcdef").write_bytes(b"%PDF")
    house.lexical.clear()
    for collection in house.vectors.sets():
        house.vectors.drop(collection)
    found = await _examine(house, repair=False)
    assert [repaired for _, repaired in found] == [False, False]  # the words have caught up
    assert [repaired for _, repaired in await _examine(house, repair=True)] == [True, True]
    assert await _examine(house, repair=False) == []
    assert house.is_whole()


async def test_a_lost_file_is_told_and_the_text_stays(house: House) -> None:
    document, _ = await house.bring(pdf("The tower is high."), "tower.pdf")
    house.files.remove(document.id)
    ((text, repaired),) = await _examine(house, repair=True)
    assert "tower.pdf" in text
    assert not repaired
    assert [one.id for one in house.documents_of("demo")] == [document.id]


OTHER = "another"


async def test_each_collection_says_what_embeds_it(house: House) -> None:
    await house.bring(pdf("The tower is high."), "tower.pdf")
    house.store.collections.create("mine", OTHER)
    findings, notes = await examine_embedders(house.store, house.index, house.runtime, ())
    assert notes == [
        "Collection 'demo', 1 document: embedded by all-minilm-l6-v2-int8, which is there."
    ]
    ((text, repaired),) = findings
    assert text.startswith(
        f"Collection 'mine', 0 documents: embedded by {OTHER}, which is missing."
    )
    assert "`POST /collections/mine/embed`" in text
    assert not repaired
    coming = await examine_embedders(house.store, house.index, house.runtime, (OTHER,))
    assert (coming.findings, coming.notes[0]) == ([], notes[0])
    assert coming.notes[1].endswith("which the next start makes ready.")


async def test_other_weights_than_made_the_vectors_are_found(house: House) -> None:
    document, _ = await house.bring(pdf("The tower is high."), "tower.pdf")
    replaced_weights(house.runtime, "0" * 64)
    house.index.embedder.look_again()
    findings, notes = await examine_embedders(house.store, house.index, house.runtime, ())
    assert notes == []
    assert f"not {document.embedder}. Bring the model" in findings[0].text


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("running", "0 of 1 done, goes on at the next start: It is away."),
        ("failed", "0 of 1 done, failed: It is away. `POST /collections/demo/embed` goes on"),
        ("ready", ""),
    ],
)
async def test_embedding_anew_that_has_not_ended_is_told(
    house: House, status: str, says: str
) -> None:
    await house.bring(pdf("The tower is high."), "tower.pdf")
    collection = house.store.collections.find("demo")
    begin = house.store.reembeddings.begin
    begin(collection, OTHER, "all-minilm-l6-v2-int8", reread=False, keep=False)
    house.store.reembeddings.tell(collection.id, status, {"detail": "It is away."})
    _, (note,) = await examine_embedders(house.store, house.index, house.runtime, ())
    assert (f"Embedding it anew by {OTHER}, {says}" in note) == bool(says), note


async def _examine(house: House, *, repair: bool) -> list[Finding]:
    return await examine(house.store, house.index, house.files, repair=repair)
