"""A folder whose files the database describes, and whether the two belong together.

Both hold the installation's id and a mark, the number of files that the folder has been given in all. A database
that begins anew has another id; one that was restored has a lower mark than the folder, and a folder that was
restored a lower one than the database. Then nothing in the folder is swept, until `doctor --adopt` has taken back
what can be taken back and makes them agree.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from api.data_folder import CARD, FolderName
from api.data_folder.contents import Contents
from api.data_folder.lost import Lost
from api.errors import ApiError, OutOfSpace
from finetune.job.files import read_json, write_atomically

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Card:
    """`installation.json`: `coming` is the mark that is being given, the same as `mark` when none is."""

    id: str
    mark: int
    coming: int


def read_card(folder: Path) -> Card | None:
    """What a folder says of itself; None when it says nothing that can be read."""
    match read_json(folder / CARD):
        case {"id": str(id), "mark": int(mark), "coming": int(coming)}:
            return Card(id, mark, coming)
    return None


def write_card(folder: Path, card: Card) -> None:
    """Let a folder say it; whole or not at all."""
    write_atomically(folder / CARD, json.dumps(asdict(card)))


class Installation(Protocol):
    """The database's side: its id, and what it remembers of each folder."""

    def id(self) -> str:
        """The id, made when there is none yet."""

    def mark(self, folder: FolderName) -> int | None:
        """How many files the folder has been given in all; None when it has no id yet."""

    def set_mark(self, folder: FolderName, mark: int) -> None:
        """Remember the mark of a folder."""


class Guarded:
    """One such folder, made when it is missing. It is judged once, when it is opened.

    `note` says why it and the database do not belong together, empty when they do. `is_ahead`: the folder has been
    given what this database never heard of. `may_sweep`: what lies there without a row may be put aside.
    """

    def __init__(
        self,
        name: FolderName,
        path: Path,
        installation: Installation,
        contents: Contents,
        lost: Lost,
    ) -> None:
        self.path = path
        self.contents = contents
        self.note = ""
        self.is_ahead = False
        self.may_sweep = False
        self._name: FolderName = name
        self._installation = installation
        self._lost = lost
        self._adding = threading.Lock()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._judge()
        except (OSError, OutOfSpace) as error:
            reason = error.strerror if isinstance(error, OSError) else error.detail
            self.note = f"{name}/{CARD} cannot be written ({reason}). Nothing there is swept."

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Around what adds a file and its row: both sides count it, in an order in which a crash at any point
        leaves them together. `errors.OutOfSpace` when nothing can be added.
        """
        with self._adding:
            if self.note:  # the marks tell when their ways parted
                yield
                return
            mark = self._installation.mark(self._name) or 0
            try:
                self._write(mark, mark + 1)
            except OSError as error:
                raise OutOfSpace(
                    f"{self._name}/{CARD} could not be written ({error.strerror}). Free some space."
                ) from error
            yield
            self._count(mark + 1)

    def set_aside(self, path: Path) -> Path | None:
        """Move what cannot be placed to `lost/`; where it is now, None when it had to stay."""
        try:
            return self._lost.put(path, self.path)
        except OSError as error:
            log.warning("%s stays where it is: %s", path, error.strerror)
            return None

    def agree(self) -> None:
        """From now on they belong together, with a mark that neither of them has had."""
        card = read_card(self.path)
        known = self._installation.mark(self._name) or 0
        mark = max(known, *((card.mark, card.coming) if card else (0,))) + 1
        self._write(known, mark)
        self._installation.set_mark(self._name, mark)
        self._write(mark, mark)
        self.note, self.is_ahead, self.may_sweep = "", False, True

    def _judge(self) -> None:
        card, mark = read_card(self.path), self._installation.mark(self._name)
        if card and card.id == self._installation.id() and (mark or 0) in (card.mark, card.coming):
            self.may_sweep = True
            return
        unplaced, missing = len(self.contents.unplaced()), len(self.contents.missing())
        self.is_ahead = card is not None and (
            card.id != self._installation.id() or card.mark > (mark or 0)
        )
        if self.is_ahead:  # one that is behind names what was deleted since
            unplaced += len(self.contents.forgotten())
        is_first = mark is None and not (self.path / CARD).exists()
        if not unplaced and (is_first or not missing):
            self.agree()
            self.may_sweep = not missing
            return
        if is_first:  # the folder is ahead by what it holds
            self._installation.set_mark(self._name, 0)
            self._write(unplaced, unplaced)
        self.note = (
            f"{self._name}/ and the database do not belong together: the folder "
            f"{self._reason(card, mark)} ({unplaced} there without a row, {missing} rows without a "
            "file). Nothing there is swept."
        )

    def _reason(self, card: Card | None, mark: int | None) -> str:
        if card is None:
            return "does not say of which installation it is"
        if card.id != self._installation.id():
            return "was filled by another database"
        return (
            "is newer than the database"
            if card.mark > (mark or 0)
            else "is older than the database"
        )

    def _count(self, mark: int) -> None:
        """Either side can lag behind by this one number without harm."""
        try:
            self._installation.set_mark(self._name, mark)
            self._write(mark, mark)
        except (ApiError, OSError) as error:
            log.warning("The mark of %s/ waits for the next file: %s", self._name, error)

    def _write(self, mark: int, coming: int) -> None:
        write_card(self.path, Card(self._installation.id(), mark, coming))


@dataclass(frozen=True, slots=True)
class Folders:
    """Each folder with its guard. `models` is None where another service keeps the models."""

    documents: Guarded
    jobs: Guarded
    models: Guarded | None
    lost: Lost

    @property
    def all(self) -> list[Guarded]:
        """Every one there is."""
        return [one for one in (self.documents, self.jobs, self.models) if one is not None]

    @property
    def notes(self) -> tuple[str, ...]:
        """Those that do not belong to the database, one line each."""
        return tuple(one.note for one in self.all if one.note)
