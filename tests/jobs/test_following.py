"""How the events of a job are followed."""

from pathlib import Path

import pytest

from api.jobs.following import StatusIs, follow
from finetune.job.events import Event
from tests.jobs.workshop import Workshop


@pytest.mark.anyio
async def test_following_tells_each_event_once_and_ends_with_the_last_status(
    tmp_path: Path,
) -> None:
    async with Workshop(tmp_path) as shop:
        job = await shop.submit()
        directory = shop.directory(job)
        news = [each async for each in follow(shop.store, directory, job)]
        rest = [each async for each in follow(shop.store, directory, job, after=3)]
    statuses = [each.job.status for each in news if isinstance(each, StatusIs)]
    events = [each for each in news if isinstance(each, Event)]
    assert statuses[0] == "queued"
    assert statuses[-1] == "succeeded"
    assert isinstance(news[-1], StatusIs)
    assert [each.number for each in events] == list(range(1, len(events) + 1))
    assert events[-1].stage == "publish"
    assert [each for each in rest if isinstance(each, Event)] == events[3:]
