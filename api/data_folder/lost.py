"""`lost/DATE/`: where the service puts what it made and cannot place. Only `doctor --purge` empties it."""

import errno
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from api.data_folder.contents import WEIGHTS
from api.names import KINDS

LOST = "lost"
MADE = re.compile(
    rf"([a-z]+_[0-9a-f]{{16}}(\.({'|'.join(KINDS)}|json))?|{WEIGHTS.pattern})"  # documents, jobs, weights
    r"(~\d+)?"  # of several with one name
)
"""Every name that is ever put there; whatever has another name is somebody else's."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Lost:
    """The lost things of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def put(self, path: Path, folder: Path) -> Path:
        """Move something of one of our folders to `lost/DATE/FOLDER/`; returns where it is now.

        A folder on a volume of its own keeps its lost things itself, in `FOLDER/lost/DATE/`.
        """
        date = datetime.now(UTC).date().isoformat()
        try:
            return _moved(path, self._data_dir / LOST / date / folder.name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return _moved(path, folder / LOST / date)

    def all(self, *folders: Path) -> list[Path]:
        """Everything that was put there, by date; `folders` may keep some themselves."""
        places = [
            *_dates(self._data_dir / LOST, "*"),
            *(d for f in folders for d in _dates(f / LOST)),
        ]
        return [
            one for place in places for one in sorted(place.iterdir()) if MADE.fullmatch(one.name)
        ]

    def purge(self, *folders: Path) -> list[Path]:
        """Delete it all, and nothing that others put there; returns what it was."""
        gone = self.all(*folders)
        for one in gone:
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        for place in {one.parent for one in gone}:
            for empty in (place, *place.parents):
                if empty == self._data_dir or empty in folders or any(empty.iterdir()):
                    break
                empty.rmdir()
        return gone


def _moved(path: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    free, number = target / path.name, 2
    while free.exists():
        free, number = target / f"{path.name}~{number}", number + 1
    return path.rename(free)


def _dates(lost: Path, below: str = "") -> Iterator[Path]:
    for date in sorted(lost.iterdir()) if lost.is_dir() else ():
        if _DATE.fullmatch(date.name) and date.is_dir():
            yield from sorted(one for one in date.glob(below) if one.is_dir()) if below else (date,)
