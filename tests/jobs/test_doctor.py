"""Folders against rows."""

import shutil
from pathlib import Path

import pytest

from api.jobs.doctor import examine
from finetune.job.directory import JobDirectory
from tests.jobs.workshop import Workshop

pytestmark = pytest.mark.anyio


async def test_a_sound_folder_has_no_findings(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    await shop.submit()
    assert examine(shop.store, shop.folder, repair=True) == []


async def test_folders_without_a_row_are_found_and_put_aside(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    await shop.submit()
    for name in (".new-job_0000000000000001", "job_0000000000000002"):
        (shop.jobs_dir / name / "inputs").mkdir(parents=True)
    assert [repaired for _, repaired in examine(shop.store, shop.folder, repair=False)] == [
        False,
        False,
    ]
    found = examine(shop.store, shop.folder, repair=True)
    assert [repaired for _, repaired in found] == [True, True]
    assert shop.left_behind() == []
    assert [path.name for path in (tmp_path / "lost").glob("*/jobs/*")] == ["job_0000000000000002"]
    assert examine(shop.store, shop.folder, repair=True) == []


async def test_a_folder_that_a_process_works_in_is_left(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    folder = shop.jobs_dir / "job_0000000000000002"
    folder.mkdir()
    with JobDirectory(folder).locked():
        [(text, repaired)] = examine(shop.store, shop.folder, repair=True)
    assert "process" in text
    assert not repaired
    assert folder.is_dir()


async def test_a_row_without_its_folder_fails(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    job = await shop.submit()
    shutil.rmtree(shop.directory(job).path)
    assert len(examine(shop.store, shop.folder, repair=True)) == 1
    assert shop.store.jobs.get(job.id).status == "failed"
    assert examine(shop.store, shop.folder, repair=True) == []
