"""A newer version of a document takes its place: at every moment one of the two is found, and never both."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.errors import Conflict, DocumentUnusable, NameTaken
from api.rag.retrieve import hits
from api.runtime import ModelRef
from tests.documents.house import House
from tests.documents.pdfs import drawing_only, pdf
from tests.fakes import FakeRuntime

pytestmark = pytest.mark.anyio

QUESTION = "How high is the tower of Lindau?"
OLD = pdf("The tower of Lindau is 90 metres high.")
NEW = pdf("The tower of Lindau is 91 metres high, says the surveyor.")
NEWEST = pdf("The tower of Lindau is 92 metres high since it was built anew.")


async def found(house: House) -> list[str]:
    """What a search finds of the tower."""
    scope = house.scope()
    best = await hits(house.index, house.store, scope, [QUESTION], None, 0.5)
    return [one.text for one in best]


def metres(texts: Sequence[str]) -> list[int]:
    """The heights in them."""
    return [n for n in (90, 91, 92) if any(f" {n} metres" in text for text in texts)]


async def test_a_newer_version_takes_the_place_and_the_id_of_the_older_one(house: House) -> None:
    old, _ = await house.bring(OLD, "tower.pdf")
    new, _ = await house.bring(NEW, "tower.pdf", replace=True)
    assert (new.id, new.status, new.created_at) == (old.id, "ready", old.created_at)
    assert new.sha256 != old.sha256
    assert house.documents_of("demo") == [new]
    assert metres(await found(house)) == [91]
    await house.deleter.settled()
    assert house.is_whole()
    assert [one.id for one in house.store.documents.all()] == [old.id]
    assert house.files.path(new.content_id).read_bytes() == NEW


async def test_every_search_meanwhile_finds_the_older_or_the_newer_version(house: House) -> None:
    await house.bring(OLD, "tower.pdf")
    is_over = False
    seen: list[list[int]] = []

    async def search() -> None:
        while not is_over:
            seen.append(metres(await found(house)))

    async with asyncio.TaskGroup() as group:
        group.create_task(search())
        for content in (NEW, NEWEST, OLD, NEW):
            await house.bring(content, "tower.pdf", replace=True)
        is_over = True
    assert all(len(heights) == 1 for heights in seen)
    await house.deleter.settled()
    assert house.is_whole()


async def test_a_newer_version_that_fails_leaves_the_older_one(house: House) -> None:
    old, _ = await house.bring(OLD, "tower.pdf")
    with pytest.raises(DocumentUnusable):
        await house.bring(drawing_only(), "tower.pdf", replace=True)
    assert house.store.documents.all() == [old]
    same, _ = await house.bring(drawing_only(), "tower.pdf", replace=True, wait=False)
    assert same == old
    while (coming := house.store.replacements.of(old.id)) and coming.status == "importing":
        await asyncio.sleep(0.01)
    assert coming is not None
    assert coming.error is not None
    assert coming.error["reason"] == "no_text"
    assert metres(await found(house)) == [90]
    new, _ = await house.bring(NEW, "tower.pdf", replace=True)
    assert house.store.replacements.of(new.id) is None
    await house.deleter.settled()
    assert house.is_whole()


async def test_the_same_bytes_replace_nothing_and_a_free_name_is_an_import(house: House) -> None:
    old, is_new = await house.bring(OLD, "tower.pdf", replace=True)
    assert is_new
    assert await house.bring(OLD, "tower.pdf", replace=True) == (old, False)
    assert len(house.store.documents.all()) == 1


async def test_bytes_that_another_document_has_replace_nothing(house: House) -> None:
    await house.bring(OLD, "tower.pdf")
    await house.bring(NEW, "other.pdf")
    with pytest.raises(NameTaken, match=r"'other\.pdf' \(doc_\w+\) has these bytes already"):
        await house.bring(NEW, "tower.pdf", replace=True)
    assert (await house.bring(NEW, "third.pdf", replace=True))[0].name == "other.pdf"
    assert metres(await found(house)) == [90, 91]


class HeldRuntime(FakeRuntime):
    """A fake that embeds no passage until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.may_embed = asyncio.Event()
        self.may_embed.set()

    async def embed(self, model: ModelRef, texts: Sequence[str]) -> list[list[float]]:
        """Wait, then as ever."""
        if "?" not in texts[0]:
            await self.may_embed.wait()
        return await super().embed(model, texts)


async def test_of_several_newer_versions_at_once_the_last_one_stays(tmp_path: Path) -> None:
    runtime = HeldRuntime()
    house = House(tmp_path, runtime=runtime).open()
    old, _ = await house.bring(OLD, "tower.pdf")
    runtime.may_embed.clear()
    earlier = asyncio.create_task(house.bring(NEW, "tower.pdf", replace=True))
    while len(house.store.documents.all()) < 2:
        await asyncio.sleep(0.01)
    later = asyncio.create_task(house.bring(NEWEST, "tower.pdf", replace=True))
    with pytest.raises(Conflict, match="a later one under the same name"):
        await earlier
    runtime.may_embed.set()
    assert (await later)[0].id == old.id
    assert metres(await found(house)) == [92]
    await house.deleter.settled()
    assert house.is_whole()
    await house.close()


async def test_going_back_to_what_is_there_gives_a_newer_version_up(tmp_path: Path) -> None:
    runtime = HeldRuntime()
    house = House(tmp_path, runtime=runtime).open()
    old, _ = await house.bring(OLD, "tower.pdf")
    runtime.may_embed.clear()
    await house.bring(NEW, "tower.pdf", replace=True, wait=False)
    assert (await house.bring(OLD, "tower.pdf", replace=True))[0].id == old.id
    await house.deleter.settled()
    runtime.may_embed.set()
    await house.importer.settled()
    assert metres(await found(house)) == [90]
    assert house.is_whole()
    await house.close()


async def test_a_document_goes_with_what_was_to_replace_it(tmp_path: Path) -> None:
    runtime = HeldRuntime()
    house = House(tmp_path, runtime=runtime).open()
    await house.bring(OLD, "tower.pdf")
    runtime.may_embed.clear()
    await house.bring(NEW, "tower.pdf", replace=True, wait=False)
    deleted = await house.deleter.delete_document(house.scope(), "tower")
    assert deleted.status == "ready"
    runtime.may_embed.set()
    await house.deleter.settled()
    assert house.is_empty()
    await house.close()


async def test_what_is_still_being_imported_gives_way(tmp_path: Path) -> None:
    runtime = HeldRuntime()
    house = House(tmp_path, runtime=runtime).open()
    runtime.may_embed.clear()
    await house.bring(OLD, "tower.pdf", wait=False)
    later = asyncio.create_task(house.bring(NEW, "tower.pdf", replace=True))
    await house.deleter.settled()
    runtime.may_embed.set()
    assert (await later)[1]
    await house.deleter.settled()
    assert metres(await found(house)) == [91]
    assert house.is_whole()
    await house.close()


async def test_a_content_that_another_collection_has_stays_there(house: House) -> None:
    first, _ = await house.bring(OLD, "tower.pdf")
    other, _ = await house.bring(OLD, "tower.pdf", "other")
    assert other.content_id == first.content_id
    await house.bring(NEW, "tower.pdf", replace=True)
    await house.deleter.settled()
    assert house.is_whole()
    await house.deleter.delete_document(house.scope(), "tower")
    await house.deleter.settled()
    assert house.files.path(other.content_id).read_bytes() == OLD
    assert house.is_whole()
