"""Databases that the settings name: read by their own means for reading alone, SQLite and PostgreSQL alike.

A request names `shop`; where that is, with which password, and what its driver says when it is away stay here.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import anyio
import sqlalchemy as sa
from anyio.to_thread import run_sync
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection

from api.names import WORKSPACE
from api.settings.values import Database as Setting
from api.tables.refusals import DatabaseAway, DatabaseNotFound, QueryUnusable, missing

T = TypeVar("T")
LOGGER = logging.getLogger(__name__)
Kind = Literal["sqlite", "postgresql"]
PAGE_ROWS = 1000
PAGE_BYTES = 4 * 2**20
"""What a page shall have of texts; the one before it says how many rows that may be."""
CONNECT_SECONDS = 10
THREADS = 16
"""That work over databases has, of all keys: it can take long, and what else the service does waits for none of it."""
MAX_VALUE_BYTES = 10 * 2**20
"""Of one value in SQLite, whose functions can make endless ones."""
MAX_LIKE_BYTES = 1000
"""Of a pattern in SQLite, which cannot be interrupted while it compares a text with one."""
BUSY = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL's words for a conflict with others, a deadlock, and a lock that cannot be had."""
READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
"""What SQLite does for a SELECT; with more it would attach other files."""
TELLING = frozenset({"fts3_tokenizer"})
"""Functions of it that tell addresses in memory."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What a SELECT gives: its columns, and its rows while its connection is open."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


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

    @contextlib.contextmanager
    def select(self, sql: str) -> Iterator[Selected]:
        """The rows of one SELECT that somebody else wrote, read a page at a time, in `statement_seconds` in all.

        `QueryUnusable` for what is no single SELECT, for one that the database refuses, and for one that takes longer.
        """
        with (
            self.reading() as connection,
            self._of_a_stranger(connection) as dbapi,
            self._timed(dbapi),
        ):
            found = connection.execution_options(
                stream_results=True, no_parameters=True, max_row_buffer=PAGE_ROWS
            ).exec_driver_sql(sql)
            if not found.returns_rows:
                raise QueryUnusable("One SELECT is needed.", where="select")
            yield Selected(tuple(found.keys()), _paged(found))

    @staticmethod
    def all_of(table: str) -> str:
        """The SELECT of all rows of a table, which may be named with its schema."""
        parts = [part.replace('"', '""') for part in table.split(".")]
        return "SELECT * FROM " + ".".join(f'"{part}"' for part in parts)

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
                    milliseconds = int(self.statement_seconds * 1000)
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")
                yield connection
        except sa.exc.DBAPIError as error:
            raise self._refused(error) from None

    @contextlib.contextmanager
    def _of_a_stranger(self, connection: Connection) -> Iterator[DBAPIConnection]:
        """PostgreSQL declares a cursor, which only one SELECT can be, and the connection ends with it, for a session
        can keep more than a transaction, such as advisory locks; SQLite is told what may happen.
        """
        dbapi: Any = connection.connection.dbapi_connection
        if self.kind != "sqlite":
            try:
                yield dbapi
            finally:
                connection.invalidate()
            return
        dbapi.set_authorizer(_only_reads)
        try:
            yield dbapi
        except sqlite3.Error as error:  # of several statements, before SQLAlchemy sees it
            raise self._refused(error) from None
        finally:
            dbapi.set_authorizer(None)

    @contextlib.contextmanager
    def _timed(self, dbapi: Any) -> Iterator[None]:
        """Ends whatever the connection does when the time is over."""
        interrupt = dbapi.interrupt if self.kind == "sqlite" else dbapi.cancel
        timer = threading.Timer(self.statement_seconds, interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _engine(self, writes: bool) -> Engine:
        with self._opening:
            if writes not in self._engines:
                self._engines[writes] = self._opened(writes)
            return self._engines[writes]

    def _opened(self, writes: bool) -> Engine:
        url = self._setting.url.get_secret_value()
        if self.kind == "sqlite":
            path = Path(url.removeprefix("sqlite:///"))
            return sa.create_engine(
                "sqlite://", creator=lambda: _sqlite(path, writes), poolclass=sa.NullPool
            )
        return sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECT_SECONDS},
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
        )

    def _away(self, error: Exception) -> Exception:
        LOGGER.warning("Database %s cannot be reached: %s", self.name, type(error).__name__)
        if isinstance(error, ImportError):
            return DatabaseAway(missing("PostgreSQL needs"))
        return DatabaseAway(f"Database {self.name!r} cannot be reached. An operator can see why.")

    def _refused(self, error: Exception) -> Exception:
        """A statement that is refused, in the words of the database, which know nothing of its address."""
        reason: object = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            return self._away(error)
        said = str(reason).strip().partition("\n")[0]
        if "is locked" in said or getattr(reason, "sqlstate", None) in BUSY:
            return DatabaseAway(
                f"Database {self.name!r} is busy with what others write. Ask again."
            )
        if "interrupted" in said or "canceling statement" in said:
            return QueryUnusable(
                f"The query took longer than the {self.statement_seconds:g} s that database {self.name!r} allows.",
                where="select",
            )
        if "not authorized" in said or "one statement" in said:
            said = "only one SELECT is allowed"
        return QueryUnusable(f"Database {self.name!r} refuses the query: {said}.", where="select")


class Databases:
    """The databases of an installation, and which workspace may name which."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = settings
        self._threads = anyio.CapacityLimiter(THREADS)
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

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Blocking work of a database, in threads that nothing else waits for; who goes away waits for it."""
        return await run_sync(work, limiter=self._threads)

    def close(self) -> None:
        """Give all connections back."""
        for one in self._all.values():
            one.close()


def _sqlite(path: Path, writes: bool) -> sqlite3.Connection:
    mode = "rw" if writes else "ro"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=5, check_same_thread=False
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_LIKE_BYTES)
    return connection


def _paged(found: sa.CursorResult[Any]) -> Iterator[tuple[Any, ...]]:
    """Its rows, a page at a time: the first of one, and each of as many as the one before lets expect to be small."""
    length = 1
    while page := found.fetchmany(length):
        yield from map(tuple, page)
        size = sum(len(one) for row in page for one in row if isinstance(one, str | bytes))
        length = max(1, min(2 * length, PAGE_ROWS, PAGE_BYTES * len(page) // max(size, 1)))


def _only_reads(action: int, _: str | None, name: str | None, *__: str | None) -> int:
    is_allowed = action in READING and not (action == sqlite3.SQLITE_FUNCTION and name in TELLING)
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY
