"""Parts of a list that is ordered by time, before and behind the things in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, tuple_

Key = tuple[str, str]
"""When a thing was made, and its id."""


@dataclass(frozen=True, slots=True)
class Part:
    """At most `limit` things: those behind the one of the id `after` and before that of `before`; with `before` alone
    those next to it.
    """

    limit: int = 20
    newest_first: bool = True
    after: str | None = None
    before: str | None = None


def part_of(
    connection: Connection,
    query: Select[Any],
    order: tuple[ColumnElement[str], ColumnElement[str]],
    part: Part,
    key_of: Callable[[str], Key],
) -> tuple[Sequence[Row[Any]], bool]:
    """The rows, and whether there are more beyond them. `order` are time and id; `key_of` raises for an unknown id."""
    pair = tuple_(*order)
    is_backwards = part.before is not None and part.after is None
    for id, is_later in ((part.after, True), (part.before, False)):
        if id is not None:
            key = tuple_(*key_of(id))
            query = query.where(pair < key if part.newest_first == is_later else pair > key)
    falls = part.newest_first != is_backwards
    ordered = query.order_by(*(one.desc() if falls else one.asc() for one in order))
    rows = connection.execute(ordered.limit(part.limit + 1)).all()
    found = rows[: part.limit]
    return found[::-1] if is_backwards else found, len(rows) > part.limit
