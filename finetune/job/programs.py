"""llama.cpp's own programs, where they are installed: what an importance matrix needs. Standard library only."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from finetune.job import child_process
from finetune.job.stage import StageFailed

IMPORTANCE = ("llama-imatrix", "llama-quantize")


def require_for_importance() -> None:
    """Raises `StageFailed` when a program that makes or takes an importance matrix is not on the PATH."""
    missing = [name for name in IMPORTANCE if shutil.which(name) is None]
    if missing:
        raise StageFailed(
            "Programs missing",
            f"importance_matrix=true needs {' and '.join(missing)} on the PATH of the machine that trains. "
            "Install llama.cpp's programs there, or leave it out.",
        )


def run(program: str, arguments: Sequence[str]) -> None:
    """Run one to its end. Raises `StageFailed` with the last it said."""
    done = child_process.run([program, *arguments], env=child_process.environment())
    said = done.stderr.decode(errors="replace")
    sys.stderr.write(said)
    if done.returncode:
        lines = said.strip().splitlines()
        raise StageFailed(
            "Quantizing failed",
            f"{Path(program).name}: {lines[-1] if lines else f'exit {done.returncode}'}",
        )
