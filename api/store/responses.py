"""Responses that are kept, with the items that went into each and came out of it, and the one that each goes on with.

A response counts as used when one that goes on with it is made: what is kept has all that was said before it, unless
somebody deleted that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    Connection,
    Text,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    type_coerce,
    update,
)

from api.names import WORKSPACE
from api.store.database import Database
from api.store.tables import response_items, responses, within

Item = Mapping[str, Any]
MOST_TURNS = 1000
"""Of a chain."""
MOST_ITEMS = 20_000
"""Of a chain: small ones too cost time by their number, and what a model thought is never too long for it."""
ROW_BYTES = 200
"""What an item takes beside its text: its ids, twice, and its place."""


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A response as OpenAI's object, its items, and the response that it goes on with, empty for none."""

    id: str
    previous: str
    response: Item
    input: Sequence[Item]
    output: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Kept:
    """How long responses of a workspace are kept: the `most` that were used last, and of these what has `most_bytes`,
    with all of the conversation of the last of them; and none used before `since`.
    """

    most: int
    since: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Chain:
    """What was said up to a response, the oldest first; `missing` is the id of a response of it that is not kept."""

    items: Sequence[Item]
    missing: str = ""
    is_too_long: bool = False


_LENGTH = func.length(type_coerce(response_items.c.item, Text)) + ROW_BYTES
_OF_ITEMS = select(func.coalesce(func.sum(_LENGTH), 0)).where(
    response_items.c.response_id == responses.c.id
)
SIZE = {
    "size_bytes": func.length(type_coerce(responses.c.response, Text)) + _OF_ITEMS.scalar_subquery()
}


class Responses:
    """Queries over the responses of a workspace; each method is one transaction. Times are seconds since 1970."""

    def __init__(self, database: Database, workspace: str | None = None) -> None:
        self._database = database
        self._workspace = workspace or WORKSPACE
        self._mine = within(responses, workspace)

    def put(self, one: KeptResponse, now: float, kept: Kept) -> None:
        """Keep a response, and forget those for which there is no more room or time."""
        items = [
            {
                "response_id": one.id,
                "number": number,
                "item_id": item["id"],
                "is_output": number >= len(one.input),
                "item": item,
                "workspace": self._workspace,
                "made_at": now,
            }
            for number, item in enumerate([*one.input, *one.output])
        ]
        row = {"id": one.id, "previous": one.previous, "response": one.response}
        times = {"made_at": now, "used_at": now}
        with self._database.write() as connection:
            connection.execute(insert(responses).values(workspace=self._workspace, **row, **times))
            if items:
                connection.execute(insert(response_items), items)
            connection.execute(update(responses).where(responses.c.id == one.id).values(SIZE))
            if one.previous:
                before = responses.c.id.in_(select(self._before(one.previous).c.id))
                connection.execute(update(responses).where(before).values(used_at=now))
            self._forget(connection, kept)

    def _forget(self, connection: Connection, kept: Kept) -> None:
        """A conversation that was used longest ago goes whole, for its responses were used at the same time."""
        here = responses.c.workspace == self._workspace
        by_use = select(responses.c.used_at).where(here).order_by(responses.c.used_at.desc())
        last = connection.scalar(by_use.limit(1).offset(kept.most - 1))
        since = max(kept.since, kept.since if last is None else last)
        connection.execute(delete(responses).where(here, responses.c.used_at < since))
        size = responses.c.size_bytes
        if (connection.scalar(select(func.sum(size)).where(here)) or 0) <= kept.most_bytes:
            return
        taken = func.sum(size).over(order_by=responses.c.used_at.desc())
        each = select(responses.c.used_at, taken.label("bytes")).where(here).subquery()
        beyond = select(func.max(each.c.used_at)).where(each.c.bytes > kept.most_bytes)
        newest = select(func.max(responses.c.used_at)).where(here)
        gone = responses.c.used_at <= beyond.scalar_subquery()
        stays = responses.c.used_at == newest.scalar_subquery()
        connection.execute(delete(responses).where(here, gone, ~stays))

    def forget_old(self, since: float) -> int:
        """Forget what was used before, whoever had it; how many those were."""
        with self._database.write() as connection:
            old = responses.c.used_at < since
            return connection.execute(delete(responses).where(old)).rowcount

    def get(self, id: str, since: float) -> KeptResponse | None:
        """A response that was used since then."""
        query = select(responses).where(responses.c.id == id, self._mine)
        with self._database.read() as connection:
            row = connection.execute(query.where(responses.c.used_at >= since)).mappings().first()
            if row is None:
                return None
            items = connection.execute(
                select(response_items.c.is_output, response_items.c.item)
                .where(response_items.c.response_id == id)
                .order_by(response_items.c.number)
            ).all()
        said = [item for is_output, item in items if not is_output]
        came = [item for is_output, item in items if is_output]
        return KeptResponse(id, row["previous"], row["response"], said, came)

    def remove(self, id: str) -> bool:
        """Forget a response; whether it was there."""
        with self._database.freeing() as connection:
            here = and_(responses.c.id == id, self._mine)
            return connection.execute(delete(responses).where(here)).rowcount > 0

    def chain(self, id: str, since: float, most_characters: int) -> Chain:
        """All that was said up to a response that was used since then, in their order."""
        with self._database.read() as connection:
            before = self._before(id)
            rows = connection.execute(
                select(before.c.id, before.c.previous)
                .where(before.c.used_at >= since)
                .order_by(before.c.turn)
            ).all()
            if not rows or rows[-1].previous:
                missing = rows[-1].previous if rows else id
                return Chain((), missing, is_too_long=len(rows) >= MOST_TURNS)
            order = (before.c.turn.desc(), response_items.c.number)
            raw = type_coerce(response_items.c.item, Text)
            said = connection.execute(
                select(raw)
                .join(before, before.c.id == response_items.c.response_id)
                .order_by(*order)
            )
            items: list[Item] = []
            for (text,) in said:
                most_characters -= len(text)
                if most_characters < 0 or len(items) == MOST_ITEMS:
                    return Chain((), is_too_long=True)
                items.append(json.loads(text))
        return Chain(items)

    def items(
        self, ids: Sequence[str], since: float, most_characters: int
    ) -> dict[str, Item] | None:
        """The items of these ids that are kept, by their ids: of several the one that came last. None where they are
        more, each counted as often as it is named.
        """
        given = func.json_each(json.dumps(sorted({*ids}))).table_valued("value")
        of_id = response_items.alias()
        latest = select(func.max(of_id.c.made_at)).where(
            of_id.c.workspace == self._workspace, of_id.c.item_id == given.c.value
        )
        raw = type_coerce(response_items.c.item, Text)
        columns = [response_items.c[name] for name in ("item_id", "response_id", "number")]
        query = (
            select(*columns, func.length(raw).label("characters"))
            .select_from(given)
            .join(
                response_items,
                and_(
                    response_items.c.workspace == self._workspace,
                    response_items.c.item_id == given.c.value,
                    response_items.c.made_at == latest.scalar_subquery(),
                ),
            )
            .join(responses, responses.c.id == response_items.c.response_id)
            .where(responses.c.used_at >= since)
            .order_by(response_items.c.number)
        )
        with self._database.read() as connection:
            last = {row.item_id: row for row in connection.execute(query)}
            if sum(last[id].characters for id in ids if id in last) > most_characters:
                return None
            return {id: self._item(connection, one) for id, one in last.items()}

    @staticmethod
    def _item(connection: Connection, at: Any) -> Item:
        here = (response_items.c.response_id == at.response_id) & (
            response_items.c.number == at.number
        )
        found: Item = connection.execute(select(response_items.c.item).where(here)).scalar_one()
        return found

    def _before(self, id: str) -> CTE:
        """A response and those that it goes on with, the newest first, as far as they are there."""
        columns = (responses.c.id, responses.c.previous, responses.c.used_at)
        first = select(*columns, literal(0).label("turn")).where(responses.c.id == id, self._mine)
        chain = first.cte("chain", recursive=True)
        earlier = (
            select(*columns, (chain.c.turn + 1).label("turn"))
            .join(chain, responses.c.id == chain.c.previous)
            .where(self._mine, chain.c.turn < MOST_TURNS - 1)
        )
        return chain.union_all(earlier)
