"""Keys, by the hash of their text, which is stored nowhere; and what was used with each, by model and day."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import and_, delete, insert, select, update

from api.store.database import Database
from api.store.tables import keys, usage


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. Times are ISO 8601 in UTC; `hash` is the SHA-256 of its text, and is shown nowhere."""

    id: str
    alias: str
    workspace: str
    hash: str
    prefix: str
    last_four: str
    scopes: list[str]
    models: list[str] | None
    """None: all."""
    expires_at: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel_requests: int | None
    blocked: bool
    created_at: str
    last_used_at: str | None = None
    former_hash: str | None = None
    """Of the text before a rotation, which opens until `former_until`."""
    former_until: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What was used with a key of one model on one day, in UTC; `model` is empty where none was asked."""

    key_id: str
    alias: str
    workspace: str
    model: str
    day: str
    requests: int
    prompt_tokens: int
    completion_tokens: int


class Keys:
    """Queries over keys and their usage; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Key]:
        """Every key, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))
            return [Key(**row) for row in rows.mappings()]

    def put(self, key: Key) -> None:
        """Keep a new key."""
        with self._database.write() as connection:
            connection.execute(insert(keys).values(**asdict(key)))

    def change(self, id: str, **values: Any) -> Key | None:
        """Change a key; returns it as it is now, None when it is gone."""
        with self._database.write() as connection:
            connection.execute(update(keys).where(keys.c.id == id).values(**values))
            row = connection.execute(select(keys).where(keys.c.id == id)).mappings().first()
        return None if row is None else Key(**row)

    def remove(self, id: str) -> bool:
        """Delete a key; what was used with it stays. Whether it was there."""
        with self._database.write() as connection:
            return connection.execute(delete(keys).where(keys.c.id == id)).rowcount > 0

    def record(self, uses: Iterable[Use], last_used: Iterable[tuple[str, str]]) -> None:
        """Add what was used, and when each key (id, time) was used last."""
        with self._database.note() as connection:
            for use in uses:
                here = and_(
                    usage.c.key_id == use.key_id, usage.c.model == use.model, usage.c.day == use.day
                )
                more = {name: usage.c[name] + getattr(use, name) for name in COUNTED}
                values = {**more, "alias": use.alias}
                if not connection.execute(update(usage).where(here).values(**values)).rowcount:
                    connection.execute(insert(usage).values(**asdict(use)))
            for id, at in last_used:
                connection.execute(update(keys).where(keys.c.id == id).values(last_used_at=at))

    def used(
        self, since: str, key_id: str | None = None, workspace: str | None = None
    ) -> Sequence[Use]:
        """What was used from that day on, the newest day first."""
        query = select(usage).where(usage.c.day >= since)
        if key_id is not None:
            query = query.where(usage.c.key_id == key_id)
        if workspace is not None:
            query = query.where(usage.c.workspace == workspace)
        order = (usage.c.day.desc(), usage.c.alias, usage.c.key_id, usage.c.model)
        with self._database.read() as connection:
            return [Use(**row) for row in connection.execute(query.order_by(*order)).mappings()]


COUNTED = ("requests", "prompt_tokens", "completion_tokens")
