"""Databases that the settings name: read by their own means for reading alone, SQLite and PostgreSQL alike.

A request names `shop`; where that is, with which password, and what its driver says when it is away stay here. Only
statements of ours run here: a SELECT that somebody else wrote is run by a process of its own (`selected.py`).
"""

import contextlib
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import sqlalchemy as sa
from anyio.to_thread import run_sync
from sqlalchemy.engine import Connection, Engine

from api.names import WORKSPACE
from api.runtime.fair import ASKING, Turns
from api.settings.values import Database as Setting
from api.tables.refusals import (
    SLOW,
    UNREAD,
    DatabaseAway,
    DatabaseNotFound,
    busy,
    missing,
    not_reached,
    refused_by,
    unreadable,
    word_of,
)
from api.tables.select_child import CONNECT_SECONDS, opened_sqlite, timeouts
from api.tables.sql_child import sql_name

T = TypeVar("T")
LOGGER = logging.getLogger(__name__)
Kind = Literal["sqlite", "postgresql"]
PLACES = 16
"""Threads, or processes, that work over databases has, of all keys: it can take long, and what else the service does
waits for none of it.
"""
COPIES_OF_A_KEY = 4
"""SELECTs of one key that are copied at once, for which nobody may wait any more."""
MOST_WAITING = 64
"""Of a key, for such a copy."""
MAX_VALUE_BYTES = 10 * 2**20
"""Of one value in SQLite, which is in this process: of a row with a larger one nothing is read or written."""
STEPS = 10_000
"""Of SQLite's machine, a millisecond or less, until it looks at the clock again."""


class Database:
    """One database. Blocking; call it in a thread."""

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.kind: Kind = (
            "sqlite" if setting.url.get_secret_value().startswith("sqlite") else "postgresql"
        )
        self.may_write = setting.write
        self.statement_seconds = setting.statement_seconds
        self._setting = setting
        self._engines: dict[bool, Engine] = {}
        self._opening = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which nothing can be written. `DatabaseAway`, `QueryUnusable`."""
        with self._connected(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at its end; who calls has asked `may_write`."""
        with self._connected(writes=True) as connection:
            yield connection
            connection.commit()

    @staticmethod
    def all_of(table: str) -> str:
        """The SELECT of all rows of a table, which may be named with its schema."""
        return "SELECT * FROM " + ".".join(map(sql_name, table.split(".")))

    def address(self) -> dict[str, Any]:
        """Where it is, with its password, for a process of ours that connects by itself."""
        url = self._setting.url.get_secret_value()
        if self.kind == "sqlite":
            return {"path": url.removeprefix("sqlite:///")}
        made = sa.make_url(url).set(drivername="postgresql+psycopg")
        _, words = made.get_dialect()().create_connect_args(made)
        return dict(words)

    def bounded(self, columns: Sequence[sa.ColumnElement[Any]], most_bytes: int) -> list[Any]:
        """What to select of rows that may be large: the columns, all NULL in a row that has more bytes, for it would be
        held here; and last whether it has no more.
        """
        if self.kind == "sqlite":
            sizes = [sa.func.length(sa.cast(one, sa.LargeBinary)) for one in columns]
        else:
            sizes = [sa.func.octet_length(sa.cast(one, sa.Text)) for one in columns]
        size: Any = sum((sa.func.coalesce(one, 0) for one in sizes), sa.literal(0))
        return [*(sa.case((size <= most_bytes, one)) for one in columns), size <= most_bytes]

    def check(self) -> None:
        """`DatabaseAway` where it does not answer."""
        with self.reading() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Give the connections back."""
        for engine in self._engines.values():
            engine.dispose()

    @contextlib.contextmanager
    def _connected(self, *, writes: bool) -> Iterator[Connection]:
        try:
            connection = self._engine(writes).connect()
        except (sa.exc.DBAPIError, ImportError) as error:
            raise self._away(error) from None
        try:
            with connection:
                if self.kind == "postgresql":
                    connection.execution_options(postgresql_readonly=not writes)
                    for one in timeouts(self.statement_seconds):
                        connection.exec_driver_sql(one)
                yield connection
        except sa.exc.DBAPIError as error:
            raise self._refused(error, writes) from None
        except sa.exc.StatementError as error:  # a value that its column cannot be compared with
            raise unreadable(self.name, error.orig or error) from None
        except UNREAD as error:
            raise unreadable(self.name, error) from None

    def _engine(self, writes: bool) -> Engine:
        with self._opening:
            if writes not in self._engines:
                self._engines[writes] = self._opened(writes)
            return self._engines[writes]

    def _opened(self, writes: bool) -> Engine:
        url = self._setting.url.get_secret_value()
        if self.kind == "sqlite":
            path, seconds = Path(self.address()["path"]), self.statement_seconds
            return sa.create_engine(
                "sqlite://", creator=lambda: _sqlite(path, writes, seconds), poolclass=sa.NullPool
            )
        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECT_SECONDS},
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        from api.tables.postgresql import read_all_times

        sa.event.listen(engine, "connect", lambda connection, _: read_all_times(connection))
        return engine

    def _away(self, error: Exception) -> Exception:
        LOGGER.warning("Database %s cannot be reached: %s", self.name, type(error).__name__)
        if isinstance(error, ImportError):
            return DatabaseAway(missing("PostgreSQL needs"))
        return not_reached(self.name)

    def _refused(self, error: sa.exc.DBAPIError, writes: bool) -> Exception:
        """What takes too long to write waits for others, it may be: it is no fault of the row."""
        if error.connection_invalidated:
            return self._away(error)
        if writes and word_of(error.orig) in SLOW:
            return busy(self.name)
        return refused_by(self.name, self.statement_seconds, error.orig or error)


class Databases:
    """The databases of an installation, and which workspace may name which."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = settings
        self._places = Turns(PLACES, sys.maxsize)
        self._copies = Turns(COPIES_OF_A_KEY, MOST_WAITING, waits_for="a copy of a SELECT")
        self._threads = anyio.CapacityLimiter(PLACES)
        self._all = {name: Database(name, setting) for name, setting in settings.items()}

    def of(self, workspace: str) -> list[Database]:
        """Those that its keys may name."""
        return [
            one
            for name, one in self._all.items()
            if {workspace, "*"} & set(self._settings[name].workspaces)
        ]

    def find(self, name: str, workspace: str = WORKSPACE) -> Database:
        """One of them; `DatabaseNotFound`."""
        mine = self.of(workspace)
        for one in mine:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in mine) or "none; LLM_FASTAPI_DATABASES names them"
        raise DatabaseNotFound(f"No database {name!r}. Databases: {known}.")

    def place(self) -> AbstractAsyncContextManager[None]:
        """For a process or a thread, waited for: the keys that wait take turns."""
        return self._places.of("", ASKING.get())

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Blocking work of a database, in threads that nothing else waits for; who goes away waits for it."""
        async with self.place():
            return await self.blocking(work)

    async def blocking(self, work: Callable[[], T]) -> T:
        """The same for who has a place already."""
        return await run_sync(work, limiter=self._threads)

    @contextlib.asynccontextmanager
    async def copying(self) -> AsyncIterator[None]:
        """A place for who copies what a SELECT gives, a few at a time of a key. `errors.TooManyRequests`."""
        asking = ASKING.get()
        async with self._copies.of(asking.key, asking), self.place():
            yield

    def close(self) -> None:
        """Give all connections back."""
        for one in self._all.values():
            one.close()


def _sqlite(path: Path, writes: bool, seconds: float) -> sqlite3.Connection:
    """A connection for one transaction, which may take so long."""
    end = time.monotonic() + seconds
    connection = opened_sqlite(path, "rw" if writes else "ro")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    return connection
