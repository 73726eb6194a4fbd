"""The bases of jobs as GGUF files beside the jobs, each made once, until its base goes or becomes another one.

    .bases/FINGERPRINT-TYPE.gguf  .bases/FINGERPRINT.json  .bases/lock  .bases/.making/

Standard library only; the api sweeps them.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from finetune.job.directory import LOCK
from finetune.job.files import read_json, sync_file, sync_folder, write_atomically
from finetune.job.locks import take
from finetune.job.stage import fingerprint

FOLDER = ".bases"
POLL_SECONDS = 0.2
_MAKING = ".making"
"""Where one is made, and what a process that died has left of it."""
_OURS = re.compile(r"([0-9a-f]{64})[-.].+")
"""Files of one base."""


def kept_base(
    jobs_dir: Path, base: Path, file_type: str, make: Callable[[Path], None]
) -> tuple[Path, bool]:
    """The GGUF of a base in this type, and whether `make` had to write it; one process makes, the others wait.

    `make` has a folder to itself, which goes with all that is left in it.
    """
    mark = fingerprint(base)
    folder = jobs_dir / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{mark}-{file_type}.gguf"
    with _locked(folder):
        if path.is_file():
            return path, False
        _sweep(folder, jobs_dir)
        card = {"base": os.path.relpath(base, jobs_dir)}
        write_atomically(folder / f"{mark}.json", json.dumps(card))
        place = folder / _MAKING
        place.mkdir()
        try:
            make(place / path.name)
            sync_file(place / path.name)
            (place / path.name).rename(path)
            sync_folder(folder)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return path, True


def sweep_kept_bases(jobs_dir: Path) -> None:
    """Remove the files of bases that have gone or changed; nothing while one is being made."""
    folder = jobs_dir / FOLDER
    if not folder.is_dir():
        return
    descriptor = take(folder / LOCK)
    if descriptor is not None:
        try:
            _sweep(folder, jobs_dir)
        finally:
            os.close(descriptor)


def _sweep(folder: Path, jobs_dir: Path) -> None:
    shutil.rmtree(folder / _MAKING, ignore_errors=True)
    known: dict[str, bool] = {}
    for path in sorted(folder.iterdir()):
        if ours := _OURS.fullmatch(path.name):
            mark = ours[1]
            if mark not in known:
                known[mark] = _is_there(jobs_dir, folder, mark)
            if not known[mark]:
                path.unlink(missing_ok=True)


def _is_there(jobs_dir: Path, folder: Path, mark: str) -> bool:
    card = read_json(folder / f"{mark}.json")
    if not isinstance(card, dict):
        return False
    base = jobs_dir / str(card.get("base"))
    return (base / "config.json").is_file() and fingerprint(base) == mark


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    while (descriptor := take(folder / LOCK)) is None:
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)
