"""The data folder: never one that holds somebody else's files, and locked for one process."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from api.errors import CannotStart
from finetune.job.locks import take

FolderName = Literal["documents", "jobs", "models"]
"""The folders that the database describes."""
SHELVES = ("batches", "datasets", "evaluations", "files", "predictions", "sweeps", "tables")
"""The folders of things that describe themselves (`shelf.py`)."""
OWN_FOLDERS = (
    *get_args(FolderName),
    *SHELVES,
    "chroma",
    "converting",
    "keys",
    "lexical",
    "servers",
    "uploads",
)
DATABASE = "state.sqlite3"
LOCK = "lock"
CARD = "installation.json"
"""What a folder that the database describes says of itself (`guarded.py`)."""
NOT_ASKED_ABOUT = frozenset({"base_models", "lost+found", "@eaDir", ".DS_Store"})
"""May be there before the first start: models loaded beforehand, and what file systems and machines make."""
SHOWN = 3
"""Files of others that a refusal names."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


class DataFolder:
    """Held by one process: two servers on one folder of embedded Chroma and tantivy damage it."""

    def __init__(self, path: Path) -> None:
        """`errors.CannotStart` when it holds what is not ours, cannot be written or is in use."""
        self.path = path
        try:
            _require_ours(path)
            path.mkdir(parents=True, exist_ok=True)
            lock = take(path / LOCK)
        except OSError as error:
            raise CannotStart(
                f"The data folder {path} cannot be written ({error.strerror}). "
                "Set LLM_FASTAPI_DATA_DIR to a folder that can."
            ) from error
        if lock is None:
            raise CannotStart(
                f"Another server or doctor works on the data folder {path}. "
                "Stop it, or set LLM_FASTAPI_DATA_DIR to another folder."
            )
        self._lock = lock

    def release(self) -> None:
        """Let others in."""
        os.close(self._lock)


def _require_ours(path: Path) -> None:
    if not path.exists() or _is_ours(path):
        return
    foreign = sorted(one.name for one in _foreign(path))
    if foreign:
        named = ", ".join(foreign[:SHOWN]) + (", ..." if len(foreign) > SHOWN else "")
        raise CannotStart(
            f"The data folder {path} holds files that this service did not make ({named}). "
            "Set LLM_FASTAPI_DATA_DIR to an empty folder, or to a new one inside it."
        )


def _is_ours(path: Path) -> bool:
    """Whether a start has been here: its database lies there, a folder that names an installation, or its lock beside
    a folder of ours; others call a file so too.
    """
    return (
        (path / DATABASE).is_file()
        or any(path.glob(f"*/{CARD}"))
        or (_is_lock(path / LOCK) and any((path / name).is_dir() for name in OWN_FOLDERS))
    )


def _is_lock(one: Path) -> bool:
    return one.name == LOCK and one.is_file() and one.stat().st_size == 0


def _foreign(path: Path) -> Iterator[Path]:
    mounted = _mount_points()
    for one in path.iterdir():
        is_expected = one.name in NOT_ASKED_ABOUT or _is_lock(one) or str(one.resolve()) in mounted
        if not is_expected and (not one.is_dir() or one.is_symlink() or any(one.iterdir())):
            yield one


def _mount_points() -> set[str]:
    """Also those on one file system with their parent, as two volumes of a container are."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {_ESCAPED.sub(lambda one: chr(int(one[1], 8)), line.split(" ")[4]) for line in lines}
