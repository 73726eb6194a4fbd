"""A job on one page, and several side by side: what their directories tell, and what the service knows beside that."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread

from api.errors import InvalidOption
from api.store import Store
from api.store.jobs import Job
from finetune.job.directory import JobDirectory
from finetune.report.compared import compared
from finetune.report.facts import facts_of
from finetune.report.page import comparison_page, page

MOST_COMPARED = 50


class Reports:
    """Made when they are asked for, so that they are never behind. `errors.JobNotFound` for an unknown id."""

    def __init__(self, store: Store, jobs_dir: Path) -> None:
        self._store = store
        self._jobs_dir = jobs_dir

    async def facts(self, job_id: str) -> dict[str, Any]:
        """All that is known of a job, as JSON."""
        return await anyio.to_thread.run_sync(lambda: self._facts(self._store.jobs.get(job_id)))

    async def page(self, job_id: str) -> str:
        """The same as an HTML page."""
        facts = await self.facts(job_id)
        return await anyio.to_thread.run_sync(page, facts, facts)

    async def compared(self, job_ids: Sequence[str]) -> dict[str, Any]:
        """Two to fifty jobs side by side. `errors.InvalidOption` for another number of them."""
        return await anyio.to_thread.run_sync(lambda: compared(self._several(job_ids)))

    async def comparison_page(self, job_ids: Sequence[str]) -> str:
        """The same as an HTML page."""
        return await anyio.to_thread.run_sync(
            lambda: comparison_page(compared(self._several(job_ids)))
        )

    def _several(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        ids = list(dict.fromkeys(job_ids))
        if not 2 <= len(ids) <= MOST_COMPARED:
            raise InvalidOption(
                f"ids: {len(ids)} different {'job is' if len(ids) == 1 else 'jobs are'} named; name 2 to "
                f"{MOST_COMPARED}, with commas between them.",
                where="ids",
            )
        return [self._facts(self._store.jobs.get(id)) for id in ids]

    def _facts(self, job: Job) -> dict[str, Any]:
        record = self._store.models.get(job.model_name)
        is_published = record is not None and record.job_id == job.id
        return {
            **facts_of(JobDirectory(self._jobs_dir / job.id)),
            "status": job.status,
            "error": job.error,
            "gate": job.gate,
            "created_at": job.created_at,
            "ended_at": job.ended_at,
            "warning": record.warning if record and is_published else "",
        }
