"""Fine-tuning jobs and the one table of their states."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, tuple_, update

from api.errors import JobNotFound, WrongState
from api.names import WORKSPACE
from api.store.database import Database
from api.store.tables import jobs, within

JobStatus = Literal[
    "queued", "running", "trained", "publishing", "succeeded", "failed", "cancelled"
]

MOVES: Mapping[JobStatus, frozenset[JobStatus]] = {
    "queued": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"trained", "failed", "cancelled"}),
    "trained": frozenset({"publishing", "queued"}),
    "publishing": frozenset({"succeeded", "trained"}),
    "succeeded": frozenset(),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
}
ENDED: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Job:
    """One fine-tuning job. `error` holds title and detail, `gate` what publishing compared and found; of those that
    wait the one of the highest `priority` comes first, then the one that has waited longest.
    """

    id: str
    model_name: str
    base_model: str
    status: JobStatus
    spec: dict[str, Any]
    error: dict[str, Any] | None
    gate: dict[str, Any] | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    priority: int = 0
    workspace: str = WORKSPACE


def new_job_id() -> str:
    """An id for a directory and the row that follows it."""
    return f"job_{secrets.token_hex(8)}"


class Jobs:
    """Queries over the jobs of a workspace; each method is one transaction. Without a workspace, over those of each."""

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self.workspace = workspace or WORKSPACE
        self._workspace = workspace
        self._mine = within(jobs, workspace)

    def add(
        self, job_id: str, model_name: str, base_model: str, spec: dict[str, Any], priority: int = 0
    ) -> Job:
        """Queue a job whose directory is complete."""
        with self._database.write() as connection:
            connection.execute(
                insert(jobs).values(
                    id=job_id,
                    workspace=self.workspace,
                    model_name=model_name,
                    base_model=base_model,
                    status="queued",
                    spec=spec,
                    created_at=_now(),
                    queued_at=time.time(),
                    priority=priority,
                )
            )
            return _one(connection, job_id)

    def restore(self, job: Job) -> None:
        """Give a job its row back, in whatever state it is."""
        with self._database.write() as connection:
            connection.execute(insert(jobs).values(**asdict(job), queued_at=time.time()))

    def remove(self, job_id: str) -> None:
        """Forget a job; idempotent."""
        with self._database.freeing() as connection:
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def get(self, job_id: str) -> Job:
        """By id; `errors.JobNotFound`."""
        with self._database.read() as connection:
            return _one(connection, job_id, self._workspace)

    def all(self, *statuses: JobStatus) -> list[Job]:
        """Jobs in one of these states (without any: all), newest first."""
        order = (jobs.c.created_at.desc(), jobs.c.queued_at.desc())
        query = select(jobs).where(self._mine).order_by(*order)
        if statuses:
            query = query.where(jobs.c.status.in_(statuses))
        with self._database.read() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def page(
        self,
        statuses: Sequence[JobStatus],
        after: str | None,
        limit: int,
        is_wanted: Callable[[Job], bool] = lambda _: True,
    ) -> tuple[list[Job], bool]:
        """At most `limit` jobs that are wanted, in one of these states (without any: all), newest first, behind the
        job `after`; and whether there are more. `errors.JobNotFound` when that one is gone.
        """
        order = (jobs.c.created_at, jobs.c.queued_at, jobs.c.id)
        query = select(jobs).where(self._mine).order_by(*(column.desc() for column in order))
        if statuses:
            query = query.where(jobs.c.status.in_(statuses))
        with self._database.read() as connection:
            if after is not None:
                _one(connection, after, self._workspace)
                place = select(*order).where(jobs.c.id == after)
                query = query.where(tuple_(*order) < place.scalar_subquery())
            rows = connection.execute(query).mappings()
            found = list(islice(filter(is_wanted, map(_job, rows)), limit + 1))
        return found[:limit], len(found) > limit

    def counts(self) -> dict[str, int]:
        """How many jobs are in which state."""
        query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def next_queued(self) -> Job | None:
        """The one whose turn it is."""
        turn = (jobs.c.priority.desc(), jobs.c.queued_at)
        query = select(jobs).where(jobs.c.status == "queued").order_by(*turn).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
            return _job(row) if row else None

    def queue_position(self, job: Job) -> int:
        """How many queued jobs, of any workspace, run before this one."""
        mine = select(-jobs.c.priority, jobs.c.queued_at).where(jobs.c.id == job.id)
        before = tuple_(-jobs.c.priority, jobs.c.queued_at) < mine.scalar_subquery()
        query = select(func.count()).where(jobs.c.status == "queued", before)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def set_spec(self, job_id: str, spec: dict[str, Any]) -> None:
        """Remember another specification, and the model's name in it."""
        values = {"spec": spec, "model_name": spec["model_name"]}
        with self._database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Change the place in the queue; `errors.JobNotFound`."""
        with self._database.write() as connection:
            _one(connection, job_id, self._workspace)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(priority=priority))
            return _one(connection, job_id)

    def move(
        self,
        job_id: str,
        status: JobStatus,
        *,
        error: dict[str, Any] | None = None,
        gate: dict[str, Any] | None = None,
    ) -> Job:
        """Change the state as `MOVES` allows, else `errors.WrongState`. Sets error and gate; sets the times."""
        with self._database.write() as connection:
            job = _one(connection, job_id)
            if status not in MOVES[job.status]:
                before = "` or `".join(one for one, after in MOVES.items() if status in after)
                raise WrongState(
                    f"Job {job_id} is `{job.status}`; it can become `{status}` when it is `{before}`.",
                    state=job.status,
                )
            values: dict[str, Any] = {"status": status, "error": error}
            if gate is not None:
                values["gate"] = gate
            if status == "running":
                values["started_at"] = _now()
            if status in ENDED:
                values["ended_at"] = _now()
            if status == "queued":
                values |= {"queued_at": time.time(), "ended_at": None}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
            return _one(connection, job_id)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _one(connection: Connection, job_id: str, workspace: str | None = None) -> Job:
    query = select(jobs).where(jobs.c.id == job_id, within(jobs, workspace))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise JobNotFound(f"No job {job_id!r}.")
    return _job(row)


def _job(row: RowMapping) -> Job:
    return Job(**{field.name: row[field.name] for field in fields(Job)})
