"""JobRunner: who runs a job directory.

Progress, outcome and errors are read from the directory itself, so a runner knows nothing about them
and runners cannot disagree.
"""

from pathlib import Path
from typing import Protocol

from finetune.job.device import Device
from finetune.job.directory import JobDirectory
from finetune.job.hardware import Hardware


class JobRunner(Protocol):
    """Runs job directories. Calls are idempotent, return at once and come from worker threads."""

    def start(self, job: JobDirectory) -> None:
        """Have the job run, or go on where it stopped; nothing happens when it is running."""
        ...

    def is_running(self, job: JobDirectory) -> bool:
        """Whether it is worked on (its lock says so), or will be without another start."""
        ...

    def cancel(self, job: JobDirectory) -> None:
        """Ask the job to stop at the next safe point; a checkpoint is kept."""
        ...

    def device(self, job: JobDirectory) -> Device | None:
        """What the job trains on; None while nobody is there who would train it."""
        ...

    def hardware(self, jobs_dir: Path) -> Hardware | None:
        """What there is to train with; None while nobody has said it."""
        ...

    def check(self) -> tuple[str, ...]:
        """Hints for the operator (shown in `/readyz`): why a started job would wait."""
        ...

    def close(self) -> None:
        """Stop what runners of this installation have started; jobs resume at the next start."""
        ...
