"""`llm-fastapi backup DIR`: what is copied while the service runs is whole, and can be served."""

import asyncio
import contextlib
import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from api.__main__ import main
from api.backup import Copied, back_up, copy_models
from api.data_folder import SHELVES
from api.errors import CannotStart
from tests.data_folder.place import MORE, Place
from tests.documents.pdfs import pdf

pytestmark = pytest.mark.anyio


def restored(place: Place, copy: Path) -> Place:
    """The copy in the place of the original, which is gone."""
    shutil.rmtree(place.folder)
    shutil.copytree(copy, place.folder)
    return Place(place.folder)


async def test_a_backup_of_a_service_that_rests_is_all_of_it(place: Place, tmp_path: Path) -> None:
    await place.add(0)
    await place.add(1)
    with_a_model(place)
    for shelf in SHELVES:
        for name in ("th_0123456789abcdef", ".new-th_0123456789abcdee"):
            (place.folder / shelf / name).mkdir(parents=True)
            (place.folder / shelf / name / "content").write_text(shelf)
    before = place.kept()
    assert back_up(place.settings, tmp_path / "copy") == Copied(documents=2, jobs=2, models=1)
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"state.sqlite3", "documents", "jobs", "models", "base_models", *SHELVES}
    for shelf in SHELVES:
        (copied,) = (tmp_path / "copy" / shelf).iterdir()
        assert (copied.name, (copied / "content").read_text()) == ("th_0123456789abcdef", shelf)
    place = restored(place, tmp_path / "copy")
    async with place.start() as (house, shop):
        assert not place.notes
        await house.index.repair()
        assert house.is_whole()
        assert len(house.documents_of("demo")) == 2
        assert [job.status for job in shop.store.jobs.all()] == ["queued", "queued"]
    assert place.kept() == before
    assert place.lost() == set()
    assert (place.settings.models_dir / "blobs" / WEIGHTS).read_bytes() == b"GGUF"


WEIGHTS = f"sha256-{'a' * 64}.gguf"


def with_a_model(place: Place) -> None:
    """A base in the registry of the embedded runtime."""
    for name in ("manifests", "blobs"):
        (place.settings.models_dir / name).mkdir(parents=True, exist_ok=True)
    manifest = {"name": "demo", "base": None, "blob": WEIGHTS}
    (place.settings.models_dir / "manifests" / f"{'0' * 32}.json").write_text(json.dumps(manifest))
    (place.settings.models_dir / "blobs" / WEIGHTS).write_bytes(b"GGUF")


async def test_models_are_copied_as_they_are_in_the_end(place: Place, tmp_path: Path) -> None:
    source, copy = place.settings.models_dir, tmp_path / "copy"
    with_a_model(place)
    copy.mkdir()
    assert copy_models(source, copy) == 1
    shutil.rmtree(source)
    (source / "manifests").mkdir(parents=True)
    (source / "manifests" / f"{'1' * 32}.json").write_text("{}")
    assert copy_models(source, copy) == 1
    assert [path.name for path in (copy / "manifests").iterdir()] == [f"{'1' * 32}.json"]
    assert list((copy / "blobs").iterdir()) == []


async def test_a_backup_while_documents_come_and_go_belongs_together_and_lacks_nothing(
    place: Place, tmp_path: Path
) -> None:
    async with place.start() as (house, _):
        is_over = asyncio.Event()

        async def come_and_go() -> None:
            number = 0
            while not is_over.is_set():
                number += 1
                await house.bring(pdf(f"Tower {number} is high."), f"{number}.pdf")
                if number > 2:
                    await house.deleter.delete_document(house.scope(), f"{number - 2}")

        coming = asyncio.create_task(come_and_go())
        for number in range(6):
            await run_sync(back_up, place.settings, tmp_path / f"copy-{number}")
        is_over.set()
        await coming
    for number in range(6):
        there = Place(tmp_path / f"copy-{number}")
        async with there.start() as (house, _):
            assert not there.notes
            await house.deleter.settled()
            for document in house.store.documents.all():
                await house.ended(document)
            await house.index.repair()
            assert house.is_whole()
        assert there.lost() == set()


async def test_a_job_on_its_way_is_copied_as_far_as_its_stages_are_done(
    place: Place, tmp_path: Path
) -> None:
    async with place.start() as (_, shop):
        job = await shop.submit("tuned")
        directory = shop.directory(job)
        (directory.stage("dataset").path / "rows" / "deep").mkdir(parents=True)
        (directory.stage("dataset").path / "rows" / "deep" / "1.json").write_text("{}")
        directory.stage("dataset").mark_done([])
        (directory.stage("train").path / "half").write_text("half")
        with directory.locked():
            back_up(place.settings, tmp_path / "copy")
    copy = tmp_path / "copy" / "jobs" / job.id
    assert (copy / "spec.json").is_file()
    assert (copy / "inputs" / "train.csv").is_file()
    assert (copy / "dataset" / "rows" / "deep" / "1.json").is_file()
    assert not (copy / "train").exists()
    assert not (copy / "lock").exists()


async def test_a_job_that_is_resumed_while_it_is_copied_is_copied_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that goes meanwhile has all of it copied once more."""
    async with place.start() as (house, shop):
        document, _ = await house.bring(MORE[0], "0.pdf")
        job = await shop.submit("tuned")
        shop.store.jobs.move(job.id, "cancelled")
        directory = shop.directory(job)
        copied = shutil.copy2

        def change_and_copy(source: Path, target: Path, **options: bool) -> Path | str:
            pdf = house.files.path(document.content_id)
            if pdf.exists() and "documents" in target.parts:
                pdf.unlink()
                house.store.documents.mark_deleting([document.id])
                shop.store.jobs.move(job.id, "queued")
                (directory.stage("train").path / "half").write_text("half")
            return copied(source, target, **options)

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copy2", change_and_copy)
            assert back_up(place.settings, tmp_path / "copy").jobs == 1
    copy = tmp_path / "copy" / "jobs" / job.id
    assert (copy / "spec.json").is_file()
    assert not (copy / "train").exists()


async def test_a_folder_that_does_not_belong_to_the_database_is_copied_as_it_is(
    place: Place, tmp_path: Path
) -> None:
    await place.add(0)
    place.settings.database_path.unlink()
    await place.restart()
    before = place.kept()
    back_up(place.settings, tmp_path / "copy")
    place = restored(place, tmp_path / "copy")
    await place.restart()
    assert len(place.notes) == 2
    assert place.kept() == before


async def test_where_a_backup_cannot_go_is_said_in_one_line(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(place.folder))
    assert main(["backup", str(tmp_path / "copy")]) == 1
    assert "nothing to back up" in capsys.readouterr().err
    await place.add(0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for folder in (tmp_path / "full", place.folder / "copy"):
        with pytest.raises(CannotStart, match="Name"):
            back_up(place.settings, folder)
    assert main(["backup", str(tmp_path / "copy")]) == 0
    assert "Documents: 1, jobs: 1" in capsys.readouterr().out


async def test_a_backup_that_broke_off_is_no_installation(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.start() as (house, _):
        await house.bring(MORE[0], "a.pdf")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copy2", full)
            with pytest.raises(CannotStart, match="not whole"):
                back_up(place.settings, tmp_path / "copy")
    assert not (tmp_path / "copy" / "state.sqlite3").exists()


async def test_a_damaged_database_is_no_backup_and_that_is_said_in_one_line(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await place.add(0)
    database, copy = place.settings.database_path, tmp_path / "copy"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.seek(database.stat().st_size * 95 // 100)
        file.write(random.Random(1).randbytes(9000))
    monkeypatch.setenv("LLM_FASTAPI_DATA_DIR", str(place.folder))
    assert main(["backup", str(copy)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert f"The backup in {copy} is not whole. Delete it." in said
    assert f"{database} is damaged" in said
    assert not list(copy.glob("state.sqlite3*"))
