"""The process that forks a child for each document: what the children get, and who ends with whom."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from api.documents.extract import Bounds, extract, open_server
from api.documents.fork_server import ForkServer
from api.errors import DocumentUnusable, Unavailable
from tests.documents.pdfs import pdf
from tests.finetune.jobs import wait_for
from tests.processes import children_running

pytestmark = pytest.mark.anyio

BOUNDS = Bounds(pages=20, characters=10_000, seconds=30, memory_bytes=512 * 2**20)


@pytest.fixture
async def server() -> AsyncIterator[ForkServer]:
    """The server of the readers."""
    server = open_server()
    yield server
    await server.close()


def written(folder: Path, text: str = "One fish.") -> Path:
    file = folder / "any.pdf"
    file.write_bytes(pdf(text))
    return file


def stuck(folder: Path) -> Path:
    """A document that is read for ever: nobody writes to it."""
    file = folder / "stuck"
    os.mkfifo(file)
    return file


def running() -> psutil.Process:
    """The server, of which there is one."""
    (found,) = children_running("api.documents.reading")
    return found


async def reading() -> psutil.Process:
    """The child that reads, as soon as it is there."""
    while True:
        with contextlib.suppress(ValueError, psutil.Error):
            (child,) = running().children()
            return child
        await asyncio.sleep(0.01)


def has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


async def test_nothing_is_started_before_the_first_document_and_one_server_reads_all(
    server: ForkServer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        running()
    file = written(tmp_path)
    found = await asyncio.gather(*(extract(server, file, BOUNDS) for _ in range(5)))
    assert {one.pages[0].text for one in found} == {"One fish."}
    assert not running().children()


async def test_a_child_has_its_limits_and_nothing_of_the_servers(
    server: ForkServer, tmp_path: Path
) -> None:
    task = asyncio.create_task(extract(server, stuck(tmp_path), BOUNDS, "txt"))
    child = await reading()
    limits = {
        psutil.RLIMIT_AS: (BOUNDS.memory_bytes, BOUNDS.memory_bytes),
        psutil.RLIMIT_FSIZE: (0, 0),
        psutil.RLIMIT_CORE: (0, 0),
    }
    async with asyncio.timeout(60):
        while {one: child.rlimit(one) for one in limits} != limits:  # it sets one after the other
            await asyncio.sleep(0.01)
        while child.rlimit(psutil.RLIMIT_CPU)[1] not in range(60):
            await asyncio.sleep(0.01)
        while not {int(one) for one in os.listdir(f"/proc/{child.pid}/fd")} <= {0, 1, 2}:
            await asyncio.sleep(0.01)  # what it imports, it opens and closes
    assert running().environ().keys() <= {"LC_CTYPE", "PYTHONPATH"}
    assert child.environ().keys() <= {"LC_CTYPE", "PYTHONPATH"}
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    wait_for(lambda: has_ended(child))


async def test_a_child_that_takes_too_long_is_ended_and_the_next_is_not(
    server: ForkServer, tmp_path: Path
) -> None:
    quick = Bounds(20, 10_000, 0.3, 512 * 2**20)
    others = {*psutil.Process().children(recursive=True)}  # servers that other tests share
    with pytest.raises(DocumentUnusable, match="too long"):
        await extract(server, stuck(tmp_path), quick, "txt")
    wait_for(lambda: others >= {*psutil.Process().children(recursive=True)})
    assert (await extract(server, written(tmp_path), BOUNDS)).pages


async def test_a_server_that_hangs_is_not_asked_again(server: ForkServer, tmp_path: Path) -> None:
    assert (await extract(server, written(tmp_path), BOUNDS)).pages
    running().suspend()
    with pytest.raises(DocumentUnusable, match="too long"):
        await extract(server, written(tmp_path), Bounds(20, 10_000, 0.3, 512 * 2**20))
    assert (await extract(server, written(tmp_path), BOUNDS)).pages


async def test_the_crash_of_a_child_is_its_own_and_the_next_has_another_server(
    server: ForkServer, tmp_path: Path
) -> None:
    task = asyncio.create_task(extract(server, stuck(tmp_path), BOUNDS, "txt"))
    child, crashed = await reading(), running()
    child.send_signal(signal.SIGSEGV)
    with pytest.raises(DocumentUnusable, match="damaged"):
        await task
    assert (await extract(server, written(tmp_path), BOUNDS)).pages
    wait_for(lambda: has_ended(crashed))


async def test_documents_are_read_once_more_when_the_server_is_ended(
    server: ForkServer, tmp_path: Path
) -> None:
    file = stuck(tmp_path)
    task = asyncio.create_task(extract(server, file, BOUNDS, "txt"))
    child = await reading()
    running().kill()
    wait_for(lambda: has_ended(child))
    assert (await reading()).pid != child.pid
    await asyncio.to_thread(file.write_text, "Two fish.")
    assert (await task).pages[0].text == "Two fish."


async def test_a_server_that_cannot_start_is_told_and_can_be_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ForkServer([sys.executable, "-c", "import nothing_of_the_kind"], {})
    with pytest.raises(Unavailable) as caught:
        await server.run(json.dumps({}).encode(), 9)
    await server.close()
    assert caught.value.retry_after_seconds
    assert "No module named 'nothing_of_the_kind'" in caplog.text


PARENT = """
import asyncio, sys
from pathlib import Path
from api.documents.extract import Bounds, extract, open_server

asyncio.run(extract(open_server(), Path(sys.argv[1]), Bounds(9, 9999, 60, 2**29), "txt"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a child with its parent")
def test_server_and_child_end_when_the_service_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(stuck(tmp_path))]
    with subprocess.Popen(command) as parent:
        wait_for(lambda: len(psutil.Process(parent.pid).children(recursive=True)) == 2)
        below = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    wait_for(lambda: all(has_ended(one) for one in below))
