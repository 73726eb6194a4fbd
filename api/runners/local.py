"""Runs jobs as child processes here: `python -m finetune JOB_DIR`, each in its own session.

A pipeline outlives an API that is killed, and the next API follows it by its lock.
"""

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from api.errors import BackEndFailed, OutOfSpace
from finetune.workspace import JobDirectory

PIPELINE = (sys.executable, "-m", "finetune")
CLOSE_SECONDS = 5.0

_PASSED_ON = frozenset({"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})
_PASSED_ON_PREFIXES = (
    *("LC_", "PYTHON", "VIRTUAL_ENV", "XDG_"),
    *("CUDA", "NVIDIA", "NCCL", "TORCH", "PYTORCH", "TRITON", "BNB_"),
    *("OMP_", "MKL_", "OPENBLAS_"),
)


class LocalRunner:
    """`JobRunner` over subprocesses."""

    def __init__(self, command: Sequence[str] = PIPELINE) -> None:
        self._command = tuple(command)
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, job: JobDirectory) -> None:
        """Start the pipeline on the job unless one is at it."""
        if self.is_running(job):
            return
        try:
            job.request_start()
            self._children[job.path] = self._started(job)
        except OSError as error:
            raise _translated(error) from error

    def is_running(self, job: JobDirectory) -> bool:
        """Whether the job is locked, or its child has yet to lock it. Reaps an ended child."""
        child = self._children.get(job.path)
        if child is not None and child.poll() is not None:
            del self._children[job.path]
            child = None
        return child is not None or job.is_locked()

    def cancel(self, job: JobDirectory) -> None:
        """Leave the wish in the directory; the pipeline sees it."""
        job.request_cancel()

    def close(self) -> None:
        """Have the pipelines save and stop; one that takes longer is followed at the next start."""
        for child in self._children.values():
            child.terminate()
        deadline = time.monotonic() + CLOSE_SECONDS
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        self._children.clear()

    def _started(self, job: JobDirectory) -> subprocess.Popen[bytes]:
        with job.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  the command is ours, the folder's name generated
                [*self._command, str(job.path.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(os.environ),
                start_new_session=True,
            )


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a pipeline needs of the environment: no key of ours or of anybody else."""
    passed_on = {
        name: value
        for name, value in environment.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return {**passed_on, "HF_HUB_OFFLINE": "1"}


def _translated(error: OSError) -> OutOfSpace | BackEndFailed:
    if error.errno == errno.ENOSPC:
        return OutOfSpace(
            "The disk is full: the job could not start. Free some space and resume it."
        )
    return BackEndFailed(f"The job's process could not be started: {error.strerror}.")
