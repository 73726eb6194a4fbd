"""Runs jobs as child processes here: `python -m finetune JOB_DIR`, each in its own session.

A pipeline outlives an API that is killed. The next API follows it by its lock, and stops it by the
process id that is kept beside the job. One that somebody started by hand is followed and never stopped.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from api import child_process
from api.errors import BackEndFailed, OutOfSpace
from finetune.job.device import Device, Gpu, find_gpu
from finetune.job.directory import JobDirectory
from finetune.job.hardware import Hardware, measure

PIPELINE = (sys.executable, "-m", "finetune")
CLOSE_SECONDS = 5.0
LOOK_SECONDS = 0.05


class LocalRunner:
    """`JobRunner` over subprocesses."""

    def __init__(
        self,
        command: Sequence[str] = PIPELINE,
        look: Callable[[], Gpu | None] = find_gpu,
        *,
        trackers: Sequence[str] = (),
    ) -> None:
        """`look` finds the GPU that trains here; it is asked once. `trackers` get the figures of each training."""
        self._trackers = ",".join(trackers)
        self._command = tuple(command)
        self._look = look
        self._found: tuple[Gpu | None] | None = None
        self._children: dict[Path, subprocess.Popen[bytes]] = {}
        self._adopted: dict[Path, JobDirectory] = {}

    def start(self, job: JobDirectory) -> None:
        """Start the pipeline on the job unless one is at it."""
        if self.is_running(job):
            return
        try:
            job.request_start()
            child = self._children[job.path] = self._started(job)
            _pid_path(job).write_text(str(child.pid))
        except OSError as error:
            raise _translated(error) from error

    def is_running(self, job: JobDirectory) -> bool:
        """Whether the job is locked, or its child has yet to lock it. Reaps an ended child."""
        child = self._children.get(job.path)
        if child is not None and child.poll() is not None:
            del self._children[job.path]
            child = None
        if child is not None:
            return True
        if not job.is_locked():
            self._adopted.pop(job.path, None)
            return False
        self._adopted[job.path] = job
        return True

    def cancel(self, job: JobDirectory) -> None:
        """Leave the wish in the directory; the pipeline sees it."""
        job.request_cancel()

    def device(self, job: JobDirectory) -> Device | None:
        """What torch trains on here."""
        del job
        return "gpu" if self._gpu() else "cpu"

    def hardware(self, jobs_dir: Path) -> Hardware | None:
        """What this machine has."""
        return measure(jobs_dir, self._gpu())

    def check(self) -> tuple[str, ...]:
        """None: a child process can always be started."""
        return ()

    def close(self) -> None:
        """Have the pipelines save and stop; one that takes longer is followed at the next start."""
        for child in self._children.values():
            child.terminate()
        adopted = [job for job in self._adopted.values() if _terminate(job)]
        deadline = time.monotonic() + CLOSE_SECONDS
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        while any(job.is_locked() for job in adopted) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        self._children.clear()
        self._adopted.clear()

    def _gpu(self) -> Gpu | None:
        if self._found is None:
            self._found = (self._look(),)
        return self._found[0]

    def _started(self, job: JobDirectory) -> subprocess.Popen[bytes]:
        with job.log_path.open("ab") as log:
            return child_process.start_to_outlive_us(
                [*self._command, str(job.path.absolute())],
                env=child_process.training_environment(self._trackers),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _pid_path(job: JobDirectory) -> Path:
    return job.path / "pid"


def _terminate(job: JobDirectory) -> bool:
    """Ask the job's pipeline of an earlier API to stop; whether there is one."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(_pid_path(job).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # the number may be another process's by now: that one has another argument
        if job.is_locked() and os.fsencode(job.path.absolute()) in command:
            os.kill(pid, signal.SIGTERM)
            return True
    return False


def _translated(error: OSError) -> OutOfSpace | BackEndFailed:
    if OutOfSpace.is_behind(error):
        return OutOfSpace(
            "The disk is full: the job could not start. Free some space and resume it."
        )
    return BackEndFailed(f"The job's process could not be started: {error.strerror}.")
