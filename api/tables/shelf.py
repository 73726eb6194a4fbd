"""The tables of a workspace: each a Parquet file with a card, whole or not there."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from api import faults
from api.data_folder.shelf import Shelf, now, read_card, readable
from api.errors import InvalidName, NameTaken
from api.tables.refusals import TableNotFound
from api.tables.types import Type

ROWS = "table.parquet"
MAX_NAME_CHARACTERS = 63
_NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_NAME_CHARACTERS - 1}}}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what its cells are."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Contents:
    """What a Parquet file holds."""

    columns: Sequence[Column]
    rows: int
    first_rows: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """More of what it was made from."""

    def told(self, **details: Any) -> "Contents":
        """With more of that."""
        return replace(self, details={**self.details, **details})


@dataclass(frozen=True, slots=True)
class Table:
    """One table, as its card describes it. `made_from` says from what: a file, a query, a prediction."""

    id: str
    name: str
    columns: tuple[Column, ...]
    rows: int
    size_bytes: int
    created_at: str
    made_from: Mapping[str, Any]
    first_rows: Sequence[Mapping[str, Any]] = ()

    @property
    def key(self) -> str:
        """What its name is compared by: SQL tells no case of letters."""
        return self.name.lower()


Fill = Callable[[Path], Contents]
"""Writes a Parquet file to a path in an empty folder, and says what is in it. Blocking."""


class Tables:
    """The tables of a workspace. Where a name is asked for that no table has: `TableNotFound`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._placing = asyncio.Lock()

    async def add(
        self, name: str, made_from: Mapping[str, Any], fill: Fill, *, replaces: bool = False
    ) -> Table:
        """Make one. With `replaces` it takes the place of the one of its name, at once and when it is whole.

        `errors.NameTaken` without; `errors.InvalidName`.
        """
        require_name(name)
        if not replaces:
            await run_sync(self.require_free, name)
        id = self._shelf.new_id()
        with self._shelf.growing(id) as folder:
            contents = await run_sync(fill, folder / ROWS)
            card = {
                "version": 1,
                "name": name,
                "columns": [asdict(one) for one in contents.columns],
                "rows": contents.rows,
                "size_bytes": (folder / ROWS).stat().st_size,
                "created_at": now(),
                "made_from": {**made_from, **contents.details},
                "first_rows": list(contents.first_rows),
            }
            async with self._placing:
                await run_sync(self._place, folder, id, card, replaces)
        return from_card(id, card)

    def _place(self, folder: Path, id: str, card: Mapping[str, Any], replaces: bool) -> None:
        before = [one for one in self.all_versions() if one.key == card["name"].lower()]
        if before and not replaces:
            self.require_free(card["name"])
        self._shelf.place(folder, id, card)
        faults.point("table_placed")
        for one in before:
            self._shelf.remove(one.id)

    def require_free(self, name: str, where: str = "name") -> None:
        """`errors.NameTaken` where a table has the name; blocking."""
        if any(one.key == name.lower() for one in self.all()):
            raise NameTaken(
                f"There is a table {name!r}. Take another name, delete it first, or send `replace=true`.",
                where=where,
            )

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """An empty folder that goes at the end, and at the next start when the process dies. `errors.OutOfSpace`."""
        return self._shelf.growing(self._shelf.new_id())

    def find(self, name: str) -> Table:
        """One table by its name or id; blocking."""
        for one in self.all():
            if name == one.id or name.lower() == one.key:
                return one
        raise TableNotFound(f"No table {name!r}. `GET /tables` lists them.")

    def path(self, name: str) -> Path:
        """The Parquet file of a table by its name or id; blocking. What is opened by now outlives the table."""
        return self._shelf.find(self.find(name).id) / ROWS

    def all(self) -> list[Table]:
        """Each one, the newest first; blocking."""
        newest: dict[str, Table] = {}
        for one in self.all_versions():
            newest.setdefault(one.key, one)
        return list(newest.values())

    def all_versions(self) -> list[Table]:
        """With those whose place another has taken just now, or when a process died; blocking."""
        return readable(self._shelf.all(), from_card)

    async def get(self, name: str) -> Table:
        """One table by its name or id."""
        return await run_sync(self.find, name)

    async def page(self, after: str | None, limit: int) -> tuple[list[Table], bool]:
        """At most `limit` tables, newest first, behind the one named `after`; and whether there are more."""
        every = await run_sync(self.all)
        begin = 0
        if after is not None:
            behind = await self.get(after)
            begin = [one.id for one in every].index(behind.id) + 1
        return every[begin : begin + limit], len(every) > begin + limit

    async def delete(self, name: str) -> Table:
        """Delete one."""
        async with self._placing:
            table = await self.get(name)
            for one in await run_sync(self.all_versions):
                if one.key == table.key:
                    await run_sync(self._shelf.remove, one.id)
        return table

    def drop_replaced(self) -> None:
        """Remove the versions that a dying process has left behind the newer ones; blocking."""
        kept = {one.id for one in self.all()}
        for one in self.all_versions():
            if one.id not in kept:
                self._shelf.remove(one.id)

    def unreadable(self) -> list[str]:
        """The ids of tables, of all workspaces, whose cards cannot be read; blocking."""
        return self._shelf.unreadable(from_card)


def from_card(id: str, card: Mapping[str, Any]) -> Table:
    """What `add` wrote; `errors.NotFound` where that was damaged by hand."""

    def read() -> Table:
        columns = tuple(Column(**one) for one in card["columns"])
        told = {name: card[name] for name in ("name", "rows", "size_bytes", "created_at")}
        datetime.fromisoformat(told["created_at"])
        told |= {"made_from": dict(card["made_from"]), "first_rows": list(card["first_rows"])}
        return Table(id=id, columns=columns, **told)

    return read_card("table", id, read)


def require_name(name: str, where: str = "name") -> None:
    """`errors.InvalidName` for what is no name of a table: it stands in SQL without quotes."""
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"A table's name has 1 to {MAX_NAME_CHARACTERS} letters (a to z), digits and underscores, and begins with "
            "no digit.",
            where=where,
        )
