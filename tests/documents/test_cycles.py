"""What was imported and deleted, in any order and with failures on the way, leaves nothing behind."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from api.errors import ApiError
from tests.documents.house import House
from tests.documents.pdfs import drawing_only, pdf

pytestmark = pytest.mark.anyio

NAMES = ("a.pdf", "b.pdf", "c.pdf")
CONTENTS = (
    pdf("The tower is 90 metres high.", "It has a clock."),
    pdf("The bridge was built in 1901."),
    pdf("The harbour has room for 300 boats."),
    drawing_only(),
)
EMPTY = {"collections", "alembic_version", "changes", "installation", "sqlite_sequence"}
"""Tables that hold more than documents."""


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_came_and_went_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for room in ("importing", "reembedding"):
        monkeypatch.setattr(f"api.documents.{room}.MOST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("api.index.dense.FIRST_PAUSE_SECONDS", 0.01)
    house = House(tmp_path).open()
    choose = random.Random(seed)
    steps = [asyncio.create_task(step(house, choose)) for _ in range(12)]
    await asyncio.gather(*steps)
    await house.importer.settled()
    await house.reembedder.settled()
    for name in ("demo", "other"):
        collection = house.store.collections.of_model(name)
        if await house.reembedder.find(collection):
            await house.reembedder.end(collection)
    await house.deleter.settled()
    while not house.is_whole():  # the vectors may follow behind
        await asyncio.sleep(0.01)
    for name in ("demo", "other"):
        await house.deleter.delete_all(house.store.collections.of_model(name))
    await house.deleter.settled()
    assert house.is_empty()
    assert rows(house.folder / "state.sqlite3") == {}
    left = [path for path in (tmp_path / "documents").rglob("*") if path.name.startswith("doc_")]
    assert left == []
    assert not (tmp_path / "lost").exists()
    await house.close()


async def step(house: House, choose: random.Random) -> None:
    """Something that a user may do; it may be refused."""
    what = choose.choices(("import", "replace", "delete", "embed", "fail"), (4, 4, 3, 1, 1))[0]
    model, name, content = (
        choose.choice(("demo", "other")),
        choose.choice(NAMES),
        choose.choice(CONTENTS),
    )
    wait, moment = choose.random() < 0.5, choose.random() / 5
    await asyncio.sleep(moment)
    options: dict[str, Any] = {"replace": what == "replace", "wait": wait}
    try:
        if what in ("import", "replace"):
            await house.bring(content, name, model, **options)
        elif what == "delete":
            await house.deleter.delete_document(house.scope(model), name)
        elif what == "embed":
            collection = house.store.collections.of_model(model)
            await house.reembedder.start(collection, "all-minilm-l6-v2-int8", reread=wait)
        else:
            house.runtime.available = False
            await asyncio.sleep(0.05)
            house.runtime.available = True
    except ApiError:
        house.runtime.available = True


def rows(path: Path) -> dict[str, int]:
    """How many rows each table of documents has."""
    with sqlite3.connect(path) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        counts = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in tables
            if name not in EMPTY
        }
    connection.close()
    return {name: count for name, count in counts.items() if count}
