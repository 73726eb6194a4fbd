"""The events of a job as they happen, between changes of its status."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio.to_thread

from api.models.naming import is_live
from api.store import Store
from api.store.jobs import Job
from finetune.job.directory import Event, JobDirectory

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the job's directory, counted from 1."""

    number: int
    event: Event


@dataclass(frozen=True, slots=True)
class StatusIs:
    """The job has this status now; said at the beginning and at each change."""

    job: Job


async def follow(
    store: Store, directory: JobDirectory, job: Job, after: int = 0
) -> AsyncIterator[Happened | StatusIs]:
    """Events from number `after` + 1 on; ends when the job needs somebody's decision or nothing more."""
    offset = number = 0
    told = None
    while True:
        events, offset = await anyio.to_thread.run_sync(directory.events, offset)
        for event in events:
            number += 1
            if number > after:
                yield Happened(number, event)
        if job.status != told:
            told = job.status
            yield StatusIs(job)
        if not is_live(job):
            return
        await asyncio.sleep(POLL_SECONDS)
        job = await anyio.to_thread.run_sync(store.jobs.get, job.id)
