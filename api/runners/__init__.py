"""JobRunner: who runs a job directory. Progress, outcome and errors are read from the directory itself,
so a runner knows nothing about them and runners cannot disagree.
"""

from typing import Protocol

from finetune.workspace import JobDirectory


class JobRunner(Protocol):
    """Runs job directories. All calls are idempotent and return at once; they are made from a worker thread."""

    def start(self, job: JobDirectory) -> None:
        """Have the job run, or go on where it stopped; nothing happens when it is running."""
        ...

    def is_running(self, job: JobDirectory) -> bool:
        """Whether it is being worked on (its lock says so), or will be without being started again."""
        ...

    def cancel(self, job: JobDirectory) -> None:
        """Ask the job to stop at the next safe point; a checkpoint is kept."""
        ...

    def close(self) -> None:
        """Stop what this process started; jobs resume at the next start."""
        ...
