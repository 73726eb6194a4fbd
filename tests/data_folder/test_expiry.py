"""What is kept for a while: not found from its end on, and removed by the next round."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.data_folder.expiry import Expiry
from api.data_folder.shelf import KEPT_UNTIL, Shelf
from api.errors import NotFound, OutOfSpace

HOUR = timedelta(hours=1)


def add(shelf: Shelf, kept_until: object) -> str:
    id = shelf.new_id()
    with shelf.growing(id) as folder:
        shelf.place(folder, id, {KEPT_UNTIL: kept_until} if kept_until else {})
    return id


def test_from_its_end_on_a_thing_is_as_not_there_and_then_goes(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    shelf, theirs = (Shelf(tmp_path, "th", "thing", owner) for owner in ("default", "team"))
    over = add(shelf, (now - HOUR).isoformat())
    soon, also = add(shelf, (now + HOUR).isoformat()), add(theirs, (now + HOUR).isoformat())
    stays = {add(shelf, None), add(shelf, 1_900_000_000), add(shelf, "some day")}
    assert shelf.all().keys() == stays | {soon}
    with pytest.raises(NotFound):
        shelf.card(over)
    shelf.of(None).expire(now)
    assert {path.name for path in tmp_path.iterdir()} == stays | {soon, also}
    shelf.expire(now + HOUR)
    assert {path.name for path in tmp_path.iterdir()} == stays | {also}
    shelf.of(None).expire(now + HOUR)
    assert {path.name for path in tmp_path.iterdir()} == stays


@pytest.mark.anyio
async def test_a_sweep_that_fails_keeps_none_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    swept: list[datetime] = []

    async def fails(now: datetime) -> None:
        raise (OutOfSpace("The disk is full.") if swept else ValueError("a defect"))

    async def sweep(now: datetime) -> None:
        swept.append(now)

    expiry = Expiry()
    for one in (fails, sweep):
        expiry.add(one)
    expiry.start(every_seconds=0.001)
    with caplog.at_level(logging.WARNING):
        while len(swept) < 2:
            await asyncio.sleep(0.001)
    await expiry.close()
    assert swept[0] <= datetime.now(UTC)
    assert [one.levelname for one in caplog.records[:2]] == ["ERROR", "WARNING"]
    count = len(swept)
    await asyncio.sleep(0.01)
    assert len(swept) == count
