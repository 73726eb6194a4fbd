"""A table of a database whose column is filled: its rows by their primary key, and only where the column is NULL."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from api.errors import InvalidOption, NotFound
from api.tables.databases import Database
from api.tables.refusals import QueryUnusable, ValueUnreadable
from api.tables.rows import Cells
from api.tables.types import as_text

READ: Mapping[type, Callable[[str], Any]] = {
    int: int,
    str: str,
    uuid.UUID: uuid.UUID,
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
}
"""What a primary key can be, and how one is read again that was written down as a text."""
PAGE_ROWS = 40
MAX_ROW_BYTES = 2 * 2**20
"""Of the cells that a row is asked by: what is held here is a page of such rows."""
LARGE = f"The cells of the input have more than {MAX_ROW_BYTES // 2**20} MB."
CHANGED = "The row has a value by now, or is gone: it was left as it is."
Found = tuple[tuple[Any, ...], Sequence[Any] | str]
"""The key of a row, and its cells, or why there are none."""


class Target:
    """Such a table, reflected. Blocking."""

    def __init__(self, database: Database, table: str, into: str) -> None:
        """`errors.NotFound` without that table; `errors.InvalidOption` for one that cannot be filled."""
        self._database = database
        schema, _, name = table.rpartition(".")
        try:
            with database.reading() as connection:
                self._table = sa.Table(
                    name,
                    sa.MetaData(),
                    schema=schema or None,
                    autoload_with=connection,
                    resolve_fks=False,
                )
        except sa.exc.NoSuchTableError:
            raise NotFound(f"Database {database.name!r} has no table {table!r}.") from None
        self.columns = [column.name for column in self._table.columns]
        if into not in self.columns:
            known = ", ".join(map(repr, self.columns))[:500]
            raise InvalidOption.at(
                "into", f"Table {table!r} has no column {into[:40]!r}. Columns: {known}."
            )
        self._into = self._table.columns[into]
        self._key = list(self._table.primary_key.columns)
        self._reading = [READ.get(_python_type(one)) for one in self._key]
        if not self._key or not all(self._reading):
            raise InvalidOption.at(
                "table", f"Table {table!r} has no primary key that rows can be told by."
            )
        if into in {one.name for one in self._key}:
            raise InvalidOption.at("into", f"{into!r} is the primary key.")

        self._empty = [self._into.is_(None), *(one.is_not(None) for one in self._key)]
        """SQLite lets a part of a key be NULL: such a row is told by nothing."""

    def count(self) -> int:
        """How many rows have no value."""
        wanted = sa.select(sa.func.count()).select_from(self._table).where(*self._empty)
        with self._database.reading() as connection:
            return int(connection.execute(wanted).scalar_one())

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[str, Cells | str]]:
        """Those, a page at a time in the order of their keys: a key as a text, and the cells, or why there are none."""
        shown = self._database.bounded([self._table.columns[one] for one in columns], MAX_ROW_BYTES)
        last: tuple[Any, ...] | None = None
        while True:
            found = self._page(shown, last)
            for key, cells in found:
                told = json.dumps([str(one) for one in key])
                if isinstance(cells, str):
                    yield told, cells
                else:
                    yield told, dict(zip(columns, map(as_text, cells), strict=True))
            if len(found) < PAGE_ROWS:
                return
            last = found[-1][0]

    def _page(self, shown: Sequence[Any], last: tuple[Any, ...] | None) -> list[Found]:
        """The rows behind the key `last`; where one has a value that cannot be read, each is read alone."""
        behind = [sa.tuple_(*self._key) > sa.tuple_(*self._typed(last))] if last else []
        keys = sa.select(*self._key).where(*self._empty, *behind).order_by(*self._key)
        page = keys.limit(PAGE_ROWS)
        try:
            return self._read(page, shown)
        except ValueUnreadable:
            alone = [key for key, _ in self._read(page, [sa.true()])]
        return [one for key in alone for one in self._alone(shown, key)]

    def _alone(self, shown: Sequence[Any], key: tuple[Any, ...]) -> list[Found]:
        wanted = sa.select(*self._key).where(*self._empty, *self._of(key))
        try:
            return self._read(wanted, shown) or [(key, CHANGED)]
        except ValueUnreadable as error:
            return [(key, error.detail)]

    def _of(self, key: Sequence[Any]) -> list[sa.ColumnElement[bool]]:
        """Where the row of a key is."""
        return [part == one for part, one in zip(self._key, self._typed(key), strict=True)]

    def _typed(self, key: Sequence[Any]) -> list[sa.ColumnElement[Any]]:
        """Its parts as values of their columns, also one that is a text here."""
        return [sa.literal(one, part.type) for part, one in zip(self._key, key, strict=True)]

    def _read(self, keys: "sa.Select[Any]", shown: Sequence[Any]) -> list[Found]:
        """The keys, and what is shown beside them, of which the last says whether the cells before it may be told."""
        with self._database.reading() as connection:
            found = [tuple(row) for row in connection.execute(keys.add_columns(*shown))]
        parts = len(self._key)
        return [(row[:parts], row[parts:-1] if row[-1] else LARGE) for row in found]

    def write(self, values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Set the column of the rows of these keys, where it is still NULL; of those that could not be set the reasons.

        All in one transaction; where one of them is refused, each in its own. What is set already counts as set.
        """
        try:
            with self._database.writing() as connection:
                told = [(key, self._set(connection, key, text)) for key, text in values]
        except QueryUnusable as error:
            if len(values) == 1:
                return [(values[0][0], error.detail)]
            return [why for one in values for why in self.write([one])]
        return [(key, why) for key, why in told if why is not None]

    def _set(self, connection: sa.Connection, key: str, text: str) -> str | None:
        """Why it was not set."""
        try:
            value = _bound(text, _python_type(self._into))
        except ValueError:
            return f"{text[:40]!r} is no value for column {self._into.name!r}."
        parts = zip(self._reading, json.loads(key), strict=True)
        place = self._of([_part(read, one) for read, one in parts if read])
        change = sa.update(self._table).where(*place, self._into.is_(None))
        if connection.execute(change.values({self._into.name: value})).rowcount:
            return None
        shown = self._database.bounded([self._into], MAX_ROW_BYTES)
        has = connection.execute(sa.select(*shown).where(*place)).scalar_one_or_none()
        return None if has is not None and has == value else CHANGED


def _python_type(column: sa.Column[Any]) -> type:
    """What its values are here; texts where nobody can say."""
    try:
        return column.type.python_type
    except NotImplementedError:
        return str


def _part(read: Callable[[str], Any], text: str) -> Any:
    """A part of a key, which was written down as a text; what Python has no value for is read by the database."""
    try:
        return read(text)
    except ValueError:
        return text


def _bound(text: str, wanted: type) -> Any:
    """An outcome as a value of the column; `ValueError`."""
    if wanted is bool:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if wanted in (dict, list):
        return json.loads(text)
    if wanted is float:
        return float(text)
    read = READ.get(wanted, str)
    try:
        return read(text)
    except ArithmeticError as error:  # of a Decimal
        raise ValueError(text) from error
