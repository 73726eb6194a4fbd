"""Connections, transactions and migrations; foreign exceptions end here."""

import contextlib
import functools
import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnElement, Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from api.data_folder.reserve import Reserve
from api.errors import ApiError, CannotStart, OutOfSpace, Unavailable
from finetune.job.files import sync_file

MIGRATIONS = Path(__file__).with_name("migrations")
AFTER_DAMAGE = (
    "Restore it from a backup, or move it away with its -wal and -shm files to begin anew: imported files, jobs "
    "and models stay, and `llm-fastapi doctor --adopt` takes them back."
)
STEPS_BETWEEN_LOOKS = 1000
"""Of SQLite's machine, until a long check looks whether it is to end."""


class Database:
    """One engine; any number of readers, one writer at a time."""

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self.engine = engine
        self.reserve = reserve
        self.writes = 0
        """Transactions of this process that have committed, without those of `note`."""
        self._writing_engine = engine.execution_options(writes=True)
        self._writer = threading.Lock()
        self._closing = threading.Event()
        self._watching: PoolProxiedConnection | None = None  # its own: a version is a connection's

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits when the block ends well."""
        with _translated(), self._writer:
            with self._writing_engine.begin() as connection:
                yield connection
            self.writes += 1

    @contextlib.contextmanager
    def note(self) -> Iterator[Connection]:
        """The same for figures that nobody remembers, as those of usage: it ends no memory of what was read."""
        with _translated(), self._writer, self._writing_engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def freeing(self) -> Iterator[Connection]:
        """A transaction that makes room: on a full disk it has what is kept for it."""
        with self.reserve.lent(), self.write() as connection:
            yield connection

    def check(self) -> None:
        """Raise when the database cannot be read."""
        with self.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM documents")

    def require_sound(self) -> None:
        """Look through the whole file, which takes long when it is big; `close` ends it early.

        `errors.Unavailable` when it is damaged.
        """
        with self.read() as connection:
            problem = _first_problem(connection, self._closing.is_set)
        if problem:
            raise _damaged(problem)

    def integrity_problems(self) -> list[str]:
        """What the database's own check finds; empty when sound."""
        with self.read() as connection:
            rows = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        return [] if rows == ["ok"] else rows

    def version(self) -> int:
        """Another number whenever something was written, by this process or another; a look at the file's head."""
        if self._watching is None:
            self._watching = self.engine.raw_connection()
        try:
            cursor = self._watching.cursor()
            (number,) = cursor.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise Unavailable(f"The database did not answer: {error}.") from error
        return int(number)

    def close(self) -> None:
        """Close all connections."""
        self._closing.set()
        if self._watching is not None:
            self._watching.close()
        self.engine.dispose()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _as_api_error(error) from error


def _as_api_error(error: DBAPIError) -> ApiError:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OutOfSpace(
            "The disk is full: nothing was stored. Free some space: delete documents, jobs or models that "
            "nobody needs, or what lies in lost/ (`llm-fastapi doctor --purge`), then try again."
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return _damaged(error.orig)
    if isinstance(error, IntegrityError):  # a defect of ours: trying again does not help
        return ApiError(f"The database refused what does not fit together: {error.orig}.")
    return Unavailable(f"The database did not answer: {error.orig}.")


def _damaged(problem: object) -> Unavailable:
    return Unavailable(f"The database is damaged ({problem}). Stop the service. {AFTER_DAMAGE}")


def _first_problem(
    connection: Connection, is_ended: Callable[[], bool] = lambda: False
) -> str | None:
    """What SQLite's quick check finds first, None when all is well."""
    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(is_ended, STEPS_BETWEEN_LOOKS)
    try:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    finally:
        driver.set_progress_handler(None, 0)
    return None if found == "ok" else " ".join(str(found).split())


def batches(values: list[Any], size: int) -> Iterator[list[Any]]:
    """The values in lists that fit into one query."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def among(column: ColumnElement[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """Whether a column has one of the values: they are one parameter however many, and the query stays the same."""
    given = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(given.c.value))


def open_database(path: Path) -> Database:
    """Open or make the file, bring it to the newest schema (keeping a copy of the older file beside it)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _require_content(path)
    reserve = Reserve(path.with_name("reserve"))
    reserve.spend()
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        _migrate(engine, path)
    except DBAPIError as error:
        engine.dispose()
        is_full = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        advice = "Free some space on its disk." if is_full else AFTER_DAMAGE
        raise CannotStart(
            f"The database {path} cannot be opened: {error.orig}. {advice}"
        ) from error
    return Database(engine, reserve)


def copy_database(path: Path, target: Path) -> None:
    """Copy the file as it is at one moment, while others read and write it.

    `errors.CannotStart` when it is damaged, and `sqlite3.Error` when it is too much so to be copied; then nothing of
    the copy is left.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(path, timeout=10)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            problem = " ".join(str(found).split())
            raise CannotStart(f"The database {path} is damaged ({problem}). {AFTER_DAMAGE}")
    except BaseException:
        for rest in ("", "-wal", "-shm", "-journal"):
            target.with_name(f"{target.name}{rest}").unlink(missing_ok=True)
        raise


def _require_content(path: Path) -> None:
    if path.exists() and path.stat().st_size == 0:
        raise CannotStart(f"The database {path} is empty (0 bytes): it was cut off. {AFTER_DAMAGE}")


def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    for pragma in (
        "busy_timeout=10000",
        "journal_mode=WAL",
        "synchronous=FULL",  # a confirmed import survives a power cut
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine, path: Path) -> None:
    scripts = _scripts()
    head = scripts.get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return
    if current is not None and current not in {
        script.revision for script in scripts.walk_revisions()
    }:
        raise CannotStart(
            f"The database {path} was written by a newer version (schema {current}). "
            "Install that version again, or restore an older backup."
        )
    with engine.connect() as connection:
        if problem := _first_problem(connection):
            raise CannotStart(f"The database {path} is damaged ({problem}). {AFTER_DAMAGE}")
    if current is not None:
        _copy_before_migration(engine, path, current)
    with engine.execution_options(writes=True).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@functools.cache
def _scripts() -> ScriptDirectory:
    """All migrations, read once a process."""
    return ScriptDirectory.from_config(_config())


def _copy_before_migration(engine: Engine, path: Path, revision: str) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = path.with_name(f"{path.name}.before-{revision}")
    half = kept.with_name(f".{kept.name}.tmp")
    try:
        shutil.copy2(path, half)
        sync_file(half)
        half.replace(kept)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise CannotStart(
            f"The database {path} needs a new schema, and no copy of the old file can be kept beside it "
            f"({error.strerror}). Make room for {path.stat().st_size} bytes there and start again; nothing was changed."
        ) from error
