"""The one table of states that a job can be in."""

from collections.abc import Iterator
from typing import get_args

import pytest

from api.errors import JobNotFound, WrongState
from api.store.jobs import MOVES, Jobs, JobStatus, new_job_id
from tests.databases import open_migrated

STATES: tuple[JobStatus, ...] = get_args(JobStatus)
WAYS: dict[JobStatus, list[JobStatus]] = {
    "queued": [],
    "running": ["running"],
    "trained": ["running", "trained"],
    "publishing": ["running", "trained", "publishing"],
    "succeeded": ["running", "trained", "publishing", "succeeded"],
    "failed": ["running", "failed"],
    "cancelled": ["cancelled"],
}
"""How a new job comes into each state."""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """An empty table of jobs."""
    store = open_migrated(tmp_path_factory.mktemp("jobs") / "state.sqlite3")
    yield store.jobs
    store.close()


@pytest.mark.parametrize("state", STATES)
def test_a_job_moves_only_as_the_table_says(jobs: Jobs, state: JobStatus) -> None:
    for target in STATES:
        job = jobs.add(new_job_id(), "tuned", "demo", {"seed": 1})
        for step in WAYS[state]:
            job = jobs.move(job.id, step)
        assert job.status == state
        if target in MOVES[state]:
            assert jobs.move(job.id, target).status == target
        else:
            with pytest.raises(WrongState, match=state):
                jobs.move(job.id, target)
            assert jobs.get(job.id).status == state


def test_a_job_keeps_its_times_error_and_gate(jobs: Jobs) -> None:
    job = jobs.add(new_job_id(), "tuned", "demo", {"seed": 1})
    assert jobs.move(job.id, "running").started_at
    failed = jobs.move(job.id, "failed", error={"title": "Out of memory"})
    assert failed.ended_at
    assert failed.error == {"title": "Out of memory"}
    again = jobs.move(job.id, "queued")
    assert (again.ended_at, again.error) == (None, None)


def test_the_job_that_waited_longest_comes_first(jobs: Jobs) -> None:
    while waiting := jobs.next_queued():
        jobs.move(waiting.id, "cancelled")
    first, second = (jobs.add(new_job_id(), name, "demo", {}) for name in ("one", "two"))
    assert jobs.next_queued() == first
    assert [jobs.queue_position(one) for one in (first, second)] == [0, 1]


def test_an_unknown_job_is_said_so(jobs: Jobs) -> None:
    with pytest.raises(JobNotFound):
        jobs.get("job_unknown")
