"""A folder of things that describe themselves: each is a directory with a card, and no row of the database knows it.

A thing grows under a hidden name and is renamed when it is whole, so whatever has its name is whole. With no second
place that tells of it, nothing can disagree: a copy of the folder is a copy of all that is in it.
"""

import contextlib
import json
import logging
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from api.data_folder.contents import folders_made
from api.errors import NotFound, OutOfSpace
from api.names import WORKSPACE
from finetune.job.files import read_json, sync_file, sync_folder, write_atomically

LOGGER = logging.getLogger(__name__)
GROWING = ".new-"
"""Beginning of the name of a thing that is not whole yet."""
OWNER = "workspace"
"""The field of a card that says whose a thing is; without it the first workspace's."""
KEPT_UNTIL = "kept_until"
"""The field of a card that says when a thing goes, in ISO 8601 with its zone; from then on it is as not there."""


C = TypeVar("C")
T = TypeVar("T")


def now() -> str:
    """The time as cards tell it; two of a second keep their order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_card(what: str, id: str, read: Callable[[], T]) -> T:
    """What is read of a card; `errors.NotFound` for one that somebody has damaged by hand."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotFound(
            f"The card of {what} {id!r} cannot be read. Put it right, or remove its folder."
        ) from error


def readable(cards: Mapping[str, C], read: Callable[[str, C], T]) -> list[T]:
    """What is read of each card; one that cannot be read is left out, and the log names it."""
    found = []
    for id, card in cards.items():
        try:
            found.append(read(id, card))
        except NotFound as error:
            LOGGER.warning("%s", error.detail)
    return found


class Shelf:
    """One such folder, made with its first thing: what is a workspace's in it, without one all of it. Blocking; call
    it in a thread.
    """

    def __init__(self, path: Path, kind: str, what: str, workspace: str | None = None) -> None:
        """`kind` begins each id (`ds`), and `what` is what an error calls a thing (`dataset`)."""
        self.path = path
        self._workspace = workspace
        self._kind = kind
        self._what = what
        self._name = re.compile(rf"{re.escape(kind)}_[0-9a-f]{{16}}")

    def of(self, workspace: str | None) -> "Shelf":
        """What is that workspace's; without one all."""
        return Shelf(self.path, self._kind, self._what, workspace)

    def owner(self, id: str) -> str:
        """The workspace of a thing; `errors.NotFound`."""
        return _owner(read_json(self._card(self.find(id))))

    def new_id(self) -> str:
        """An id that nothing has."""
        return f"{self._kind}_{secrets.token_hex(8)}"

    @contextlib.contextmanager
    def growing(self, id: str) -> Iterator[Path]:
        """An empty directory that goes at the end, unless it was placed. A full disk is `errors.OutOfSpace`."""
        folder = self.path / f"{GROWING}{id}"
        try:
            with self.writing():
                folder.mkdir(parents=True)
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Something is written here: a full disk is `errors.OutOfSpace`."""
        with OutOfSpace.with_detail(
            f"The disk is full: no {self._what} was made. Free some space."
        ):
            yield

    def place(self, folder: Path, id: str, card: Mapping[str, Any]) -> Path:
        """Write its card, last of all, and give it its name."""
        for path in folder.iterdir():
            sync_file(path)
        self._write(folder, card, self._workspace or WORKSPACE)
        placed = folder.rename(self.path / id)
        sync_folder(self.path)
        return placed

    def update(self, id: str, card: Mapping[str, Any]) -> None:
        """Write another card; whole or not at all."""
        self._write(self.find(id), card, self.owner(id))

    def find(self, id: str) -> Path:
        """The directory of a thing; `errors.NotFound`, also for what is no id, or another workspace's."""
        folder = self.path / id
        is_there = self._name.fullmatch(id) and self._card(folder).is_file()
        if not is_there or not self._is_there(read_json(self._card(folder))):
            raise NotFound(f"No {self._what} {id!r}.")
        return folder

    def card(self, id: str) -> dict[str, Any]:
        """What a thing says of itself; `errors.NotFound` also when that cannot be read."""
        card = read_json(self._card(self.find(id)))
        if not isinstance(card, dict):
            raise NotFound(f"The card of {self._what} {id!r} cannot be read.")
        card.pop(OWNER, None)
        return card

    def all(self) -> dict[str, dict[str, Any]]:
        """The card of each thing by its id, the newest first (by `created_at`); of what cannot be read none."""
        found: list[tuple[str, int, str, dict[str, Any]]] = []
        for path in folders_made(self.path, self._name):
            with contextlib.suppress(FileNotFoundError):  # it goes just now
                card, age = read_json(self._card(path)), path.stat().st_ctime_ns
                if isinstance(card, dict) and self._is_there(card):
                    card.pop(OWNER, None)
                    found.append((str(card.get("created_at", "")), age, path.name, card))
        found.sort(key=lambda one: one[:3], reverse=True)
        return {id: card for _, _, id, card in found}

    def unreadable(self, read: Callable[[str, dict[str, Any]], object]) -> list[str]:
        """The ids of all that is here, of any workspace, and cannot be read."""
        found = []
        for path in folders_made(self.path, self._name):
            card = read_json(self._card(path))
            try:
                is_read = isinstance(card, dict) and read(path.name, card)
            except NotFound:
                is_read = False
            if not is_read:
                found.append(path.name)
        return sorted(found)

    def page(
        self,
        after: str | None,
        limit: int,
        is_wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
    ) -> tuple[dict[str, dict[str, Any]], bool]:
        """At most `limit` of those of `all` whose card is wanted, behind the thing `after` (wanted or not), and whether
        there are more; `errors.NotFound`.
        """
        found = self.all()
        if after is not None and after not in found:
            raise NotFound(f"No {self._what} {after!r}.")
        ids = [id for id, card in found.items() if id == after or is_wanted(card)]
        begin = ids.index(after) + 1 if after is not None else 0
        return {id: found[id] for id in ids[begin : begin + limit]}, len(ids) > begin + limit

    def remove(self, id: str) -> None:
        """Take a thing away: first its name, then its files."""
        self._take_away(self.find(id))

    def _take_away(self, folder: Path) -> None:
        gone = folder.rename(self.path / f"{GROWING}{folder.name}")
        sync_folder(self.path)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a dead process has left half made."""
        half = re.compile(rf"{re.escape(GROWING)}{self._name.pattern}")
        for path in folders_made(self.path, half):
            shutil.rmtree(path, ignore_errors=True)

    def expire(self, now: datetime) -> None:
        """Remove what has its end behind it."""
        for path in folders_made(self.path, self._name):
            card = read_json(self._card(path))
            if self._is_mine(card) and _is_over(card, now):
                with contextlib.suppress(FileNotFoundError):  # it goes just now
                    self._take_away(path)

    def _is_mine(self, card: object) -> bool:
        return self._workspace in (None, _owner(card))

    def _is_there(self, card: object) -> bool:
        return self._is_mine(card) and not _is_over(card, datetime.now(UTC))

    def _write(self, folder: Path, card: Mapping[str, Any], owner: str) -> None:
        whose = {} if owner == WORKSPACE else {OWNER: owner}
        write_atomically(self._card(folder), json.dumps({**card, **whose}, indent=1))

    def _card(self, folder: Path) -> Path:
        return folder / f"{self._what}.json"


def _owner(card: object) -> str:
    return str(card.get(OWNER, WORKSPACE)) if isinstance(card, dict) else WORKSPACE


def _is_over(card: object, now: datetime) -> bool:
    end = card.get(KEPT_UNTIL) if isinstance(card, dict) else None
    try:
        return end is not None and datetime.fromisoformat(end) <= now
    except (TypeError, ValueError):  # nobody can say when
        return False
