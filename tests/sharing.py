"""What the processes of one test run make once between them, where each would take long to make its own."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that the first process to ask lets `make` fill; the others wait for it, and none changes it."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has its own folder in that of the run
        folder = folder.parent
    made = folder / "made_once" / name
    made.parent.mkdir(exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (done := made.with_suffix(".done")).exists():
            shutil.rmtree(made, ignore_errors=True)  # what one left that failed
            made.mkdir()
            make(made)
            done.touch()
    return made
