"""`python -m finetune.worker JOBS_DIR`: runs the jobs of a folder, one at a time, oldest wish first.

A job is taken when it has `start`, no `outcome.json` and a free lock. Each runs in a process of its own, so that
nothing a job does ends the worker. SIGTERM saves the running job's checkpoint and ends; the job goes on at the next
start.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from finetune import stage
from finetune.spec import JobError, Outcome
from finetune.workspace import JobDirectory

PIPELINE = (sys.executable, "-m", "finetune")
MOST_STARTS = 3  # of a job whose process ends again and again without an outcome


def next_job(folder: Path) -> JobDirectory | None:
    """The job that waits longest, or None."""
    waiting: list[tuple[float, str]] = []
    for start in folder.glob("*/start"):
        job = JobDirectory(start.parent)
        if job.outcome() is None and not job.is_locked():
            try:
                waiting.append((start.stat().st_mtime, job.id))
            except FileNotFoundError:
                continue
    return JobDirectory(folder / min(waiting)[1]) if waiting else None


class Worker:
    """Runs jobs until it is told to stop."""

    def __init__(self, folder: Path, command: Sequence[str] = PIPELINE) -> None:
        self._folder = folder
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
        self._starts: Counter[str] = Counter()

    def stop(self) -> None:
        """Pass the wish on, and take no other job."""
        self._is_stopping = True
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def run(self, poll_seconds: float = 1.0, *, until_idle: bool = False) -> None:
        """Take one job after the other; `until_idle` ends when none waits."""
        while not self._is_stopping:
            job = next_job(self._folder)
            if job is not None:
                self._run_job(job)
            elif until_idle:
                return
            else:
                time.sleep(poll_seconds)

    def _run_job(self, job: JobDirectory) -> None:
        self._starts[job.id] += 1
        self._child = subprocess.Popen([*self._command, str(job.path)])  # noqa: S603  ours
        if self._is_stopping:
            self._child.terminate()
        code = self._child.wait()
        if job.outcome() is not None:
            del self._starts[job.id]
        elif self._starts[job.id] >= MOST_STARTS and not self._is_stopping:
            del self._starts[job.id]
            detail = f"It ended {MOST_STARTS} times without an outcome, last with code {code}."
            error = JobError(title="The job's process ends again and again", detail=detail)
            job.write_outcome(Outcome(result="failed", error=error).model_dump())


def main(arguments: list[str], command: Sequence[str] = PIPELINE) -> int:
    """Watch until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m finetune.worker", description=__doc__)
    parser.add_argument("jobs_dir", type=Path)
    parser.add_argument("--poll-seconds", type=float, default=1.0)
    parser.add_argument("--until-idle", action="store_true", help="end when no job waits")
    options = parser.parse_args(arguments)
    if not options.jobs_dir.is_dir():
        sys.stderr.write(f"{options.jobs_dir} is no folder.\n")
        return stage.EXIT_FAILED
    worker = Worker(options.jobs_dir.resolve(), command)

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    worker.run(options.poll_seconds, until_idle=options.until_idle)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
