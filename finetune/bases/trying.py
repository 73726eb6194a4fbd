"""A base is tried before it is promised: once, in a process of its own, and what came of it is remembered."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from finetune.bases import refusals
from finetune.job import child_process, tried
from finetune.job.stage import EXIT_FAILED, StageFailed

TRYING = ".trying"
RESULT = "result.json"


def require_tried(folder: Path, name: str, work: Path) -> bool:
    """Try the base of this name unless it was; whether it had to be. `work` has room for its first layers.

    Raises `StageFailed` when the base cannot be fine-tuned, with what to take instead.
    """
    refusals.refuse(folder, name)
    if tried.known(folder):
        return False
    place = work / TRYING
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        _run(folder, name, place)
    except StageFailed as error:
        if error.title == refusals.TITLE:
            tried.remember(folder, error)
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)
    tried.remember(folder, None)
    return True


def _run(folder: Path, name: str, place: Path) -> None:
    """A process gives its memory back, and takes a crash of llama.cpp's along."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = place / RESULT
    ended = child_process.run(
        [sys.executable, "-m", "finetune.bases.trial", str(folder), name, str(place)],
        env=child_process.environment() | {"PYTHONPATH": os.pathsep.join(paths)},
        ending=signal.SIGTERM,
    )
    if not ended.returncode:
        return
    if ended.returncode == EXIT_FAILED and result.is_file():
        raise StageFailed(**json.loads(result.read_text("utf-8")))
    if ended.returncode == -signal.SIGKILL:
        raise StageFailed(
            "Not enough memory",
            f"Trying {name} was killed, most likely because memory ran out. Stop other programs, then try again.",
        )
    said = ended.stderr.decode(errors="replace").strip().splitlines() or ["It said nothing."]
    if ended.returncode < 0:
        raise refusals.cannot(
            f"llama.cpp ends on {name} by signal {-ended.returncode}. {refusals.INSTEAD}"
        )
    raise StageFailed("The base could not be tried", said[-1])
