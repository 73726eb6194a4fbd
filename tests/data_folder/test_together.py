"""Database and folders that belong together, and those that do not: whatever comes, nothing is lost."""

import json
import os
import shutil
import sqlite3

import pytest

from api.data_folder import CARD
from api.errors import ApiError
from api.store import open_store
from tests.data_folder.place import FOLDERS, MORE, Place, put_into

pytestmark = pytest.mark.anyio


async def test_what_belongs_together_says_nothing_and_counts_on(place: Place) -> None:
    for number in range(3):
        await place.add(number)
        assert not place.notes
    assert len(place.kept()) == 6
    assert place.lost() == set()
    card = json.loads((place.settings.documents_dir / CARD).read_text())
    store = open_store(place.settings.database_path)
    assert card["id"] == store.installation.id()
    assert card["mark"] == store.installation.mark("documents")
    store.close()


async def test_a_fresh_database_over_an_old_folder_sweeps_nothing_at_any_start(
    place: Place,
) -> None:
    await place.add(0)
    before = place.kept()
    place.settings.database_path.unlink()
    for _ in range(2):
        await place.restart()
        assert len(place.notes) == 2
        assert all("another database" in note for note in place.notes)
        assert place.kept() == before
    await place.add(1)  # the service works meanwhile
    await place.restart()
    assert len(place.notes) == 2
    assert before < place.kept()
    assert place.lost() == set()


async def test_yesterdays_database_over_todays_folder_sweeps_nothing_at_any_start(
    place: Place,
) -> None:
    await place.add(0)
    place.keep_copy("state.sqlite3")
    await place.add(1)
    before = place.kept()
    place.put_back("state.sqlite3")
    await place.restart()
    assert [note.partition(" ")[0] for note in place.notes] == ["documents/", "jobs/"]
    assert all("newer than the database" in note for note in place.notes)
    await place.add(3)  # the database's mark does not catch up with the folder's
    await place.restart()
    assert len(place.notes) == 2
    assert before < place.kept()
    assert place.lost() == set()


async def test_todays_database_over_yesterdays_folder_loses_no_row_and_no_file(
    place: Place,
) -> None:
    await place.add(0)
    place.keep_copy("documents", "jobs")
    await place.add(1)
    async with place.start() as (house, _):
        await house.deleter.delete_document(house.scope(), "0")
    place.put_back("documents", "jobs")
    before = place.kept()
    await place.restart()
    assert len(place.notes) == 2
    assert all("older than the database" in note for note in place.notes)
    assert place.kept() == before
    store = open_store(place.settings.database_path)
    assert [one.name for one in store.documents.ready_in(store.collections.scope_of("demo"))] == [
        "1.pdf"
    ]
    assert [job.status for job in store.jobs.all()] == ["queued", "queued"]
    store.close()


async def test_a_folder_that_is_not_mounted_loses_no_row(place: Place) -> None:
    await place.add(0)
    for name in ("documents", "jobs"):
        (place.folder / name).rename(place.folder.with_name(name))
    await place.restart()
    assert len(place.notes) == 2
    store = open_store(place.settings.database_path)
    assert [job.status for job in store.jobs.all()] == ["queued"]
    store.close()
    for name in ("documents", "jobs"):
        shutil.rmtree(place.folder / name)
        place.folder.with_name(name).rename(place.folder / name)
    await place.restart()
    assert not place.notes
    assert len(place.kept()) == 2


async def test_an_installation_without_ids_gets_them_and_loses_nothing(place: Place) -> None:
    await place.add(0)
    await place.add(1)
    without_ids(place)
    stray = place.settings.documents_dir / "doc_0123456789abcdef.pdf"
    stray.write_bytes(MORE[2])
    before = place.kept()
    for _ in range(2):
        await place.restart()
        assert [note.partition(" ")[0] for note in place.notes] == ["documents/"]
        assert place.kept() == before
    stray.unlink()
    await place.restart()
    assert not place.notes
    assert (place.settings.documents_dir / CARD).is_file()


async def test_a_sound_installation_without_ids_gets_them_without_a_word(place: Place) -> None:
    await place.add(0)
    without_ids(place)
    await place.restart()
    assert not place.notes
    place.keep_copy("state.sqlite3")
    await place.add(1)
    place.put_back("state.sqlite3")
    await place.restart()
    assert len(place.notes) == 2


def without_ids(place: Place) -> None:
    """As an earlier version left it."""
    for card in place.folder.glob(f"*/{CARD}"):
        card.unlink()
    with sqlite3.connect(place.settings.database_path) as connection:
        connection.execute("DELETE FROM installation")
    connection.close()


@pytest.mark.parametrize("died", ["before the row", "before the mark", "before the card"])
async def test_a_crash_at_any_point_of_adding_leaves_them_together(place: Place, died: str) -> None:
    await place.add(0)
    card_path = place.settings.documents_dir / CARD
    store = open_store(place.settings.database_path)
    mark = store.installation.mark("documents") or 0
    if died == "before the card":
        store.installation.set_mark("documents", mark + 1)
    if died != "before the row":
        demo = store.collections.of_model("demo")
        store.documents.add("half.pdf", demo, "0" * 64, 10, "tiny")
    store.close()
    card = json.loads(card_path.read_text())
    card_path.write_text(json.dumps({**card, "coming": mark + 1}))
    await place.restart()
    assert not place.notes
    await place.add(1)
    assert not place.notes


async def test_what_we_made_and_cannot_place_goes_to_lost(place: Place) -> None:
    await place.add(0)
    (place.settings.documents_dir / "doc_0123456789abcdef.pdf").write_bytes(MORE[1])
    (place.settings.jobs_dir / "job_0123456789abcdef" / "inputs").mkdir(parents=True)
    before = place.kept()
    await place.restart()
    assert place.lost() == {"doc_0123456789abcdef.pdf", "job_0123456789abcdef"}
    assert place.kept() == before - place.lost()


async def test_what_others_keep_in_our_folders_harms_nothing_and_stays(place: Place) -> None:
    await place.add(0)
    theirs = [path for name in FOLDERS for path in put_into(place.folder / name)]
    await place.add(1)
    async with place.start() as (house, _):
        house.lexical.clear()
        await house.index.catch_up()
        assert house.lexical.ids()
        await house.deleter.delete_all(house.store.collections.of_model("demo"))
    await place.restart()
    assert not place.notes
    assert [path for path in theirs if not path.exists()] == []


async def test_a_card_that_cannot_be_read_is_named(place: Place) -> None:
    await place.add(0)
    (place.settings.documents_dir / "doc_0123456789abcdef.pdf").write_bytes(MORE[1])
    (place.settings.documents_dir / CARD).write_text("{")
    before = place.kept()
    await place.restart()
    (note,) = place.notes
    assert "documents/" in note
    assert place.kept() == before


async def test_a_full_disk_is_said_and_nothing_is_added(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.add(0)
    async with place.start() as (house, _):

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises((ApiError, OSError)):
                await house.bring(MORE[1], "1.pdf")
        assert len(house.store.documents.all()) == 1
        await house.bring(MORE[1], "1.pdf")
    await place.restart()
    assert not place.notes
