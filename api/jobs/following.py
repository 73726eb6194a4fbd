"""The events of a job as they happen, between changes of its status."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio.to_thread

from api.models.naming import is_live
from api.store import Store
from api.store.jobs import Job
from finetune.job.directory import JobDirectory
from finetune.job.events import Event

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class StatusIs:
    """The job has this status now; said at the beginning and at each change."""

    job: Job


async def follow(
    store: Store, directory: JobDirectory, job: Job, after: int = 0
) -> AsyncIterator[Event | StatusIs]:
    """Events from number `after` + 1 on; ends when the job needs somebody's decision or nothing more."""
    place = await anyio.to_thread.run_sync(directory.place_before, after + 1)
    told = None
    while True:
        events, behind = await anyio.to_thread.run_sync(directory.some_events, place)
        for event in events:
            if event.number > after:
                yield event
        if behind != place:
            place = behind
            continue
        if job.status != told:
            told = job.status
            yield StatusIs(job)
        if not is_live(job):
            return
        await asyncio.sleep(POLL_SECONDS)
        job = await anyio.to_thread.run_sync(store.jobs.get, job.id)
