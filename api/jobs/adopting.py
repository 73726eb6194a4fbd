"""Gives job folders that are found without a row their row back, as after a database had to begin anew."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api.data_folder.findings import Finding
from api.data_folder.guarded import Guarded
from api.jobs.owner import owner_of
from api.store import Store
from api.store.jobs import Job, JobStatus
from finetune.job.directory import JobDirectory
from finetune.job.files import read_json
from finetune.job.spec import Outcome, UnknownSpec, parse_spec

TAKEN_BACK = {
    "title": "Taken back",
    "detail": "Its row was lost and made again from its folder. Publish it if its model is missing.",
}


def adopt(store: Store, folder: Guarded) -> list[Finding]:
    """Each gets the state that its files tell of; one that was at work is queued where it stopped. What another release
    wrote stays where it is.
    """
    found = [JobDirectory(path) for path in folder.contents.unplaced()]
    return [_adopted(store, folder, one) for one in sorted(found, key=_submitted_at)]


def _adopted(store: Store, folder: Guarded, directory: JobDirectory) -> Finding:
    try:
        job = job_of(directory)
    except UnknownSpec as unknown:
        return Finding(f"Folder {directory.id} stays as it is: spec.json: {unknown}", False)
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, OSError) else "is no specification"
        placed = folder.set_aside(directory.path)
        text = f"Folder {directory.id} could not be taken back: spec.json {reason}"
        return Finding(f"{text}: moved to {placed}." if placed else f"{text}.", placed is not None)
    store.jobs.restore(job)
    return Finding(f"Folder {directory.id} is a job again: {job.model_name}, {job.status}.", True)


def job_of(directory: JobDirectory) -> Job:
    """The row that a job's folder tells of. `OSError` or `ValueError` when its files are damaged, `UnknownSpec` when
    another release wrote them.
    """
    spec = parse_spec(directory.spec_path.read_bytes())
    gate = read_json(directory.gate_path)
    status, error = _state(directory, gate)
    events, _ = directory.events()
    has_ended = status not in {"queued", "running"}
    return Job(
        id=directory.id,
        model_name=spec.model_name,
        base_model=spec.base_model,
        status=status,
        spec=spec.model_dump(),
        error=error,
        gate=gate if isinstance(gate, dict) else None,
        created_at=_written_at(directory.spec_path),
        started_at=events[0].at if events else None,
        ended_at=events[-1].at if events and has_ended else None,
        workspace=owner_of(directory),
    )


def _state(directory: JobDirectory, gate: Any) -> tuple[JobStatus, dict[str, Any] | None]:
    written = directory.outcome()
    if written is None:
        if directory.is_cancel_requested():
            return "cancelled", None
        return ("running" if directory.is_start_requested() else "queued"), None
    outcome = Outcome.model_validate(written)
    if outcome.result != "trained":
        return outcome.result, outcome.error.model_dump() if outcome.error else None
    if isinstance(gate, dict) and gate.get("passed"):
        return "succeeded", None
    return "trained", TAKEN_BACK


def _submitted_at(directory: JobDirectory) -> float:
    """They wait in the order in which they came."""
    try:
        return directory.spec_path.stat().st_mtime
    except OSError:
        return 0


def _written_at(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
