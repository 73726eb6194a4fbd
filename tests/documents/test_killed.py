"""`kill -9` during import and delete: after the next start nothing is half, nothing is orphaned."""

import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from api import faults
from api.documents.doctor import examine
from api.index.values import Wanted
from tests.documents.house import House
from tests.documents.killed import FIRST, NEWER, SECOND, two_embedders

pytestmark = pytest.mark.anyio

KILLS = {  # at the second pass it is the second document that is being imported
    "import_row_added:2": {"first.pdf"},
    "import_file_kept:2": {"first.pdf", "second.pdf"},
    "import_pages_stored:2": {"first.pdf", "second.pdf"},
    "import_chunks_stored:3": {"first.pdf", "second.pdf"},
    "import_vectors_stored:2": {"first.pdf", "second.pdf"},
    "import_marked_ready:2": {"first.pdf", "second.pdf"},
    "import_row_added:3": {"first.pdf", "second.pdf"},  # of a content that is there
    "import_vectors_stored:3": {"first.pdf", "second.pdf"},
    "import_marked_ready:3": {"first.pdf", "second.pdf"},
    "delete_marked": {"second.pdf"},  # a content that another collection has
    "delete_vectors_removed": {"second.pdf"},
    "delete_file_removed": {"second.pdf"},
    "delete_marked:2": set[str](),
    "delete_vectors_removed:2": set[str](),
    "delete_file_removed:2": set[str](),
    "delete_marked:3": set[str](),  # with the second collection
    "delete_vectors_removed:3": set[str](),
    "delete_file_removed:3": set[str](),
}
SHARED = list(KILLS)[6:-3]
"""At these the second collection has been given the first document's content."""
REPLACING = {  # the first version is there; whether the newer one goes on by itself
    "import_row_added:2": False,
    "import_file_kept:2": True,
    "import_pages_stored:2": True,
    "import_chunks_stored:2": True,
    "import_vectors_stored:2": True,
    "replace_switched": True,
    "delete_file_removed": True,
    "delete_vectors_removed": True,
}
REEMBEDDING = {  # both documents are there; which model they are embedded by right after the next start
    "reembed_added": "all-minilm-l6-v2-int8",
    "import_chunks_stored:4": "all-minilm-l6-v2-int8",
    "reembed_standing_by": "all-minilm-l6-v2-int8",
    "import_vectors_stored:3": "all-minilm-l6-v2-int8",
    "reembed_added:2": "all-minilm-l6-v2-int8",
    "reembed_standing_by:2": "all-minilm-l6-v2-int8",
    "reembed_switched": "other",
    "delete_file_removed": "other",
    "delete_vectors_removed:2": "other",
}
OFTEN_ANEW = ("reembed_standing_by:2", "reembed_switched")
OFTEN = ("import_chunks_stored:2", "replace_switched")
"""What the ordinary tests are killed at; the others are soak tests."""


def some(kills: Iterable[str], often: Collection[str]) -> list[Any]:
    """Parameters of which most are for soak tests."""
    return [one if one in often else pytest.param(one, marks=pytest.mark.soak) for one in kills]


def kill_at(folder: Path, *kills: str) -> None:
    """Each leaves a folder of its name below, as the dead process has left it."""
    command = [sys.executable, "-m", "tests.documents.killed", str(folder), *kills]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one folder a kill, as it was left behind."""
    base = tmp_path_factory.mktemp("killed")
    others = [f"replacing+{one}" for one in OFTEN]
    kill_at(base, *KILLS, *others, *(f"reembedding+{one}" for one in OFTEN_ANEW))
    return base


def test_every_fault_point_is_passed_by_a_kill() -> None:
    ours = {name for name in faults.NAMES if name.startswith(("import_", "delete_"))}
    assert {kill.partition(":")[0] for kill in KILLS} == ours
    passed = {kill.partition(":")[0] for kill in REPLACING}
    anew = {kill.partition(":")[0] for kill in REEMBEDDING}
    assert {name for name in faults.NAMES if name.startswith("reembed_")} <= anew
    assert passed == ours - {"import_marked_ready", "delete_marked"} | {"replace_switched"}


async def restarted(folder: Path) -> House:
    """What the next start makes of it, when it has ended what it found half done."""
    shutil.rmtree(folder / "uploads", ignore_errors=True)  # as every start does
    (folder / "chroma.in_use").unlink()  # the look at the folder in a child is another test
    house = House(folder, embedded=True, runtime=two_embedders()).open()
    await house.index.repair()
    await house.deleter.resume()
    await house.importer.resume()
    await house.deleter.settled()
    await house.importer.settled()
    await house.deleter.settled()
    return house


@pytest.mark.parametrize("kill", some(REPLACING, OFTEN))
async def test_after_a_kill_the_older_or_the_newer_version_is_there(
    kill: str, killed: Path
) -> None:
    folder = killed / f"replacing+{kill}"
    if not folder.exists():
        kill_at(killed, folder.name)
    house = await restarted(folder)
    (document,) = house.documents_of("demo")
    assert (house.files.path(document.content_id).read_bytes() == NEWER) == REPLACING[kill]
    assert house.store.documents.all() == [document]
    assert house.is_whole()
    assert (await house.bring(NEWER, "first.pdf", replace=True))[0].id == document.id
    await house.deleter.settled()
    assert house.is_whole()
    await house.close()


@pytest.mark.parametrize("kill", some(REEMBEDDING, OFTEN_ANEW))
async def test_after_a_kill_a_collection_is_embedded_anew_to_the_end(
    kill: str, killed: Path
) -> None:
    folder = killed / f"reembedding+{kill}"
    if not folder.exists():
        kill_at(killed, folder.name)
    house = await restarted(folder)
    before = house.documents_of("demo")
    assert {one.name for one in before} == {"first.pdf", "second.pdf"}
    assert {one.embedder.partition(":")[0] for one in before} == {REEMBEDDING[kill]}
    (found,) = await house.index.candidates(
        house.scope(), [Wanted("When was bridge 7 built?")], None, 5
    )
    assert found.dense
    assert found.lexical
    await house.reembedder.resume()
    await house.reembedder.settled()
    now = house.documents_of("demo")
    assert {one.id for one in now} == {one.id for one in before}
    assert {one.embedder.partition(":")[0] for one in now} == {"other"}
    if "delete" not in kill:
        await house.reembedder.end(house.store.collections.find("demo"))
    await house.deleter.settled()
    assert house.is_whole()
    assert await examine(house.store, house.index, house.files, repair=False) == []
    await house.close()


@pytest.mark.parametrize("kill", KILLS)
async def test_after_a_kill_the_next_start_makes_everything_whole(kill: str, killed: Path) -> None:
    house = await restarted(killed / kill)
    expected = KILLS[kill]
    for name, content in (("first.pdf", FIRST), ("second.pdf", SECOND)):
        if name in expected:  # waits for the import that goes on, and is no second document
            assert (await house.bring(content, name))[1] is False
    assert {one.name for one in house.documents_of("demo")} == expected
    assert len(house.documents_of("other")) == (kill in SHARED)
    assert house.is_whole()
    with house.store.database.read() as connection:
        going = "SELECT count(*) FROM collections WHERE status = 'deleting'"
        assert connection.exec_driver_sql(going).scalar() == 0
    assert await examine(house.store, house.index, house.files, repair=False) == []
    (found,) = await house.index.candidates(
        house.scope(), [Wanted("When was bridge 7 built?")], None, 5
    )
    assert bool(found.lexical) == ("second.pdf" in expected)
    await house.close()
