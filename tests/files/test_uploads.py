"""Uploads without HTTP: what several callers do at once, and what a full disk leaves."""

import asyncio
import errno
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.errors import NotFound, OutOfSpace, WrongState
from api.files.files import File, Files
from api.files.opening import FOLDER, open_files, open_uploads
from api.files.uploads import Uploads
from tests.service import settings_of

pytestmark = pytest.mark.anyio


class NoDatasets:
    """None is there."""

    def has(self, _: str) -> bool:
        """Whether an id is that of one."""
        return False

    def all(self) -> list[Any]:
        """Each of them."""
        return []


class FullDisk(io.BytesIO):
    """Some bytes, and then no room for more."""

    def read(self, size: int | None = -1) -> bytes:
        """The bytes, once."""
        if self.tell():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().read(size)


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Files, Uploads]:
    none: Any = NoDatasets()
    settings = settings_of(tmp_path)
    files = open_files(settings, none)
    return files, open_uploads(settings, files)


async def test_of_two_that_complete_at_once_one_makes_the_file(
    opened: tuple[Files, Uploads], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, uploads = opened
    id = (await uploads.begin("a.bin", "vision", 30)).id
    sent = (uploads.add(id, io.BytesIO(bytes([number] * 10))) for number in range(3))
    ids = [part.id for part in await asyncio.gather(*sent)]
    receive, may_receive = files.receive, asyncio.Event()

    async def held(*arguments: Any, **more: Any) -> File:
        await may_receive.wait()
        return await receive(*arguments, **more)

    monkeypatch.setattr(files, "receive", held)
    completing = asyncio.create_task(uploads.complete(id, ids))
    asked = (uploads.complete(id, ids), uploads.cancel(id))
    other, late = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(other, WrongState)
    assert isinstance(late, WrongState)
    may_receive.set()
    done = await completing
    (file,), _ = await files.page()
    assert file == done.file
    assert files.path(file.id).read_bytes() == b"\0" * 10 + b"\1" * 10 + b"\2" * 10


async def test_a_full_disk_leaves_nothing_and_another_try_goes_through(
    opened: tuple[Files, Uploads], tmp_path: Path
) -> None:
    files, uploads = opened
    id = (await uploads.begin("a.bin", "vision", 3)).id
    with pytest.raises(OutOfSpace):
        await uploads.add(id, FullDisk(b"abc"))
    with pytest.raises(OutOfSpace):
        await files.write("batch_output", "out.jsonl", iter(FullDisk(b"abc").read, b""))
    folder = tmp_path / FOLDER
    assert [path.name for path in folder.iterdir()] == [id]
    assert [path.name for path in (folder / id).iterdir()] == ["upload.json"]
    part = await uploads.add(id, io.BytesIO(b"abc"))
    await uploads.expire(datetime.now(UTC) + timedelta(minutes=59))
    assert (await uploads.complete(id, [part.id])).status == "completed"
    await uploads.expire(datetime.now(UTC) + timedelta(minutes=61))
    with pytest.raises(NotFound):
        await uploads.complete(id, [part.id])
