"""What the owner of a collection notes of it: a title that need not be its own, metadata, and when it expires."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update

from api.errors import InvalidName
from api.names import WORKSPACE, valid_collection_name
from api.store.collections import (
    COLUMNS,
    Collection,
    collection_of,
    find_collection,
    insert_collection,
    named_collection,
    new_collection_id,
    require_own,
)
from api.store.database import Database, among
from api.store.keyset import Key, Part, part_of
from api.store.tables import IS_FOUND, collections, seen_by, within

TOUCHED_SECONDS = 60
"""A collection that is searched all the time is written to this seldom."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is noted of a collection. It expires `expires_after_days` after it was last used, if ever."""

    title: str
    metadata: Mapping[str, str]
    expires_after_days: int | None
    last_active_at: datetime

    @property
    def expires_at(self) -> datetime | None:
        """When it expires unless it is used before."""
        days = self.expires_after_days
        return None if days is None else self.last_active_at + timedelta(days=days)

    def is_expired(self, now: datetime) -> bool:
        """Whether it was left alone for too long."""
        return self.expires_at is not None and self.expires_at <= now


_NOTED = [
    collections.c[name] for name in ("title", "metadata", "expires_after_days", "last_active_at")
]
_ORDER = (collections.c.created_at, collections.c.id)


class CollectionCards:
    """Queries over the collections of a workspace, and those shared with it, with their cards; without a workspace over
    all.
    """

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._workspace = workspace

    def create(
        self,
        title: str,
        metadata: Mapping[str, str],
        expires_after_days: int | None,
        *,
        is_name: bool = True,
    ) -> Collection:
        """An empty collection. It is called by its title where that is a valid name and free, else by its id; also
        where it is not to be its name.
        """
        workspace = self._workspace or WORKSPACE
        id = new_collection_id()
        with self._database.write() as connection:
            name = _as_name(title) if is_name else ""
            is_free = name and named_collection(connection, workspace, name) is None
            called = name if is_free else id
            made = Collection(id, called, "", _now().isoformat(), workspace=workspace)
            return insert_collection(
                connection,
                made,
                title=title,
                metadata=dict(metadata),
                expires_after_days=expires_after_days,
            )

    def find(self, id_or_name: str) -> tuple[Collection, Card]:
        """One of its own, which may be changed; `errors.ReadOnly` for one that is shared with it."""
        found = self.seen(id_or_name)
        require_own(found[0], self._workspace)
        return found

    def seen(self, id_or_name: str) -> tuple[Collection, Card]:
        """One to look into, by id or name; `errors.CollectionNotFound`."""
        with self._database.read() as connection:
            found = find_collection(connection, self._workspace, id_or_name)
            mine = collections.c.id == found.id
            return _carded(connection.execute(select(*COLUMNS, *_NOTED).where(mine)).one())

    def page(self, part: Part) -> tuple[list[tuple[Collection, Card]], bool]:
        """A part of the list, and whether there are more; `errors.CollectionNotFound`."""
        seen = seen_by(collections, self._workspace)
        query = select(*COLUMNS, *_NOTED).where(IS_FOUND, seen)
        with self._database.read() as connection:

            def key_of(id: str) -> Key:
                found = find_collection(connection, self._workspace, id)
                return found.created_at, found.id

            rows, has_more = part_of(connection, query, _ORDER, part, key_of)
        return [_carded(row) for row in rows], has_more

    def update(self, collection_id: str, **values: Any) -> None:
        """Note something else: `title`, `metadata`, `expires_after_days`. That is a use of it, too."""
        mine = collections.c.id == collection_id
        noted = {"last_active_at": _now().isoformat(), **values}
        with self._database.write() as connection:
            connection.execute(update(collections).where(mine).values(**noted))

    def touch(self, ids: Iterable[str]) -> None:
        """They are being used; one that has expired lives on."""
        now = _now()
        long_ago = (now - timedelta(seconds=TOUCHED_SECONDS)).isoformat()
        used = func.coalesce(collections.c.last_active_at, collections.c.created_at)
        stale = (among(collections.c.id, ids), used < long_ago)
        with self._database.read() as connection:
            if connection.execute(select(collections.c.id).where(*stale).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            values = {"last_active_at": now.isoformat()}
            connection.execute(update(collections).where(*stale).values(**values))

    def expired(self, now: datetime) -> list[Collection]:
        """Those that were left alone for too long."""
        may_expire = collections.c.expires_after_days.is_not(None)
        query = select(*COLUMNS, *_NOTED).where(
            IS_FOUND, may_expire, within(collections, self._workspace)
        )
        with self._database.read() as connection:
            found = [_carded(row) for row in connection.execute(query)]
        return [collection for collection, card in found if card.is_expired(now)]


def _as_name(title: str) -> str:
    try:
        return valid_collection_name(title)
    except InvalidName:
        return ""


def _now() -> datetime:
    return datetime.now(UTC)


def _carded(row: Row[Any]) -> tuple[Collection, Card]:
    values: Sequence[Any] = row
    *of_collection, title, noted, days, used = values
    found = collection_of(of_collection)
    active = datetime.fromisoformat(used or found.created_at)
    return found, Card(found.name if title is None else title, noted, days, active)
