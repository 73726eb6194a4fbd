"""What stages `verify` and `evaluate` refuse of a job, and whether it is to be published in spite of that."""

from dataclasses import dataclass
from typing import Any

from finetune.job.directory import JobDirectory, StageDirectory
from finetune.job.files import read_json, sync_folder

FORCE = "force"
"""The file that wishes for publishing whatever was found."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that is wrong, and with which file of the job."""

    file: str
    title: str
    detail: str
    stage: str = "verify"


def report_of(job: JobDirectory) -> dict[str, Any]:
    """What was compared and measured; empty before."""
    report = read_json(job.path / "verify" / "report.json")
    return report if isinstance(report, dict) else {}


def comparison_of(job: JobDirectory) -> dict[str, Any]:
    """How the tuned model was found beside its base; empty before."""
    comparison = read_json(job.path / "evaluate" / "comparison.json")
    return comparison if isinstance(comparison, dict) else {}


def refusals_of(job: JobDirectory) -> list[Refusal]:
    """All that is wrong; the first is the reason that is told."""
    found = (*report_of(job).get("refused", []), *comparison_of(job).get("refused", []))
    return [Refusal(**refusal) for refusal in found]


def forget_refusals(job: JobDirectory) -> None:
    """Let a refused job be looked at again when it is resumed."""
    for stage in {refusal.stage for refusal in refusals_of(job)}:
        StageDirectory(job.path / stage).done_path.unlink(missing_ok=True)


def wish_force(job: JobDirectory, *, force: bool) -> None:
    """Publish in spite of what was found, or (again) not."""
    path = job.path / FORCE
    if force:
        path.touch()
    else:
        path.unlink(missing_ok=True)
    sync_folder(job.path)


def is_forced(job: JobDirectory) -> bool:
    """Whether that was wished for."""
    return (job.path / FORCE).exists()
