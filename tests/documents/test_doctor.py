"""What the doctor finds between database, indexes and files, and what it puts right."""

import pytest

from api.documents.doctor import examine
from api.errors import Finding
from tests.documents.house import House
from tests.documents.pdfs import pdf

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


async def _examine(house: House, *, repair: bool) -> list[Finding]:
    return await examine(house.store, house.index, house.files, repair=repair)
