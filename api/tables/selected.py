"""SELECTs over named databases that somebody else wrote: each is run by a process of its own, and ends with it.

What comes here of its rows is within bounds: `select_child.py` says which.
"""

import contextlib
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from api import child_process
from api.errors import ApiError, Unavailable
from api.runtime.threads import in_thread
from api.tables.databases import Database
from api.tables.reading import read_file_for, require_installed
from api.tables.refusals import (
    DatabaseAway,
    QueryTooSlow,
    QueryUnusable,
    TableUnusable,
    ValueUnreadable,
    too_slow,
)
from api.tables.select_child import MAX_ANSWER_BYTES, MEMORY_BYTES
from api.tables.shelf import Contents
from api.tables.sql import MAX_ANSWER_BYTES as MAX_ROWS_BYTES
from api.tables.sql import Rows

LOGGER = logging.getLogger(__name__)
MOST_CHARACTERS = 2**30
"""Of all rows of a SELECT that is copied, for a short one can make a full disk."""
INDEX_BYTES = 16 * 2**20
"""Of a file beside one of SQLite's: the index of its write-ahead log, which who reads first makes."""
COPY_BYTES = 8 * MOST_CHARACTERS
COMMAND = (sys.executable, "-P", "-s", "-m", "api.tables.select_child")
FACTS: Mapping[str, type[ApiError]] = {
    one.__name__: one for one in (DatabaseAway, QueryTooSlow, QueryUnusable, ValueUnreadable)
}


async def first_rows(database: Database, sql: str, limit: int) -> Rows:
    """The first `limit` rows, or as many as have `MAX_ROWS_BYTES`. `QueryUnusable`, `DatabaseAway`."""
    asked = {"limit": limit, "max_bytes": MAX_ROWS_BYTES}
    said = await _answered(database, sql, asked, INDEX_BYTES, "query")
    return Rows(said["columns"], said["types"], said["rows"], 0 if said["is_all"] else None)


async def copy_select(database: Database, sql: str, target: Path, most_rows: int) -> Contents:
    """Copy its rows as they are now. `QueryUnusable`, `DatabaseAway`."""
    require_installed()
    source = target.with_name("source")
    names = await write_selected(database, sql, source, most_rows)
    try:
        return await read_file_for(
            source, target, types={}, sheet=None, columns=names, most_rows=most_rows
        )
    except TableUnusable as error:
        raise TableUnusable(error.detail, **{**error.extra, "where": "select"}) from None


async def write_selected(
    database: Database, sql: str, path: Path, most_rows: int, fold: str | None = None
) -> list[str]:
    """Write its rows as JSON Lines, and say what its columns are; the one named `fold` is called so."""
    asked = {"target": str(path), "fold": fold, "most_rows": most_rows}
    asked["most_characters"] = MOST_CHARACTERS
    names: list[str] = (await _answered(database, sql, asked, COPY_BYTES, "select"))["columns"]
    return names


async def _answered(
    database: Database, sql: str, asked: Mapping[str, Any], file_bytes: int, where: str
) -> dict[str, Any]:
    """What the process answers. Cancelling it ends the process, and what the database does for it."""
    process = await child_process.start(
        COMMAND,
        env=_environment(database),
        limits=_limits(database, file_bytes),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=MAX_ANSWER_BYTES + 1,
    )
    assert process.stdin  # noqa: S101  it was started so
    assert process.stdout  # noqa: S101
    try:
        with contextlib.suppress(ConnectionError):  # it has ended: why, its end says
            process.stdin.write(_request(database, sql, asked))
            await process.stdin.drain()
            process.stdin.close()
        line = await process.stdout.readline()
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
    return await in_thread(_said, database, line, code, where)


def _request(database: Database, sql: str, asked: Mapping[str, Any]) -> bytes:
    where = {"name": database.name, "kind": database.kind, "where": database.address()}
    request = {**where, "seconds": database.statement_seconds, "sql": sql, **asked}
    return json.dumps(request).encode()


def _environment(database: Database) -> Mapping[str, str]:
    """None; for PostgreSQL what its client is told by `PGSSLROOTCERT` and its like, and where its files are."""
    if database.kind == "sqlite":
        return child_process.NOTHING
    return child_process.environment("PG")


def _limits(database: Database, file_bytes: int) -> child_process.Limits:
    seconds = int(database.statement_seconds) + 60
    return child_process.Limits(MEMORY_BYTES, seconds, seconds, file_bytes)


def _said(database: Database, line: bytes, code: int, where: str) -> dict[str, Any]:
    """What the process answers. Why it does not, `where` in the request."""
    if not line.endswith(b"\n"):
        raise _ended(database, -code, where)
    said: dict[str, Any] = json.loads(line)
    if "errno" in said:
        raise OSError(said["errno"], os.strerror(said["errno"]))
    if "refused" in said:
        kind = FACTS[said.pop("refused")]
        if kind is DatabaseAway:
            LOGGER.warning("%s", said["detail"])
        extra: dict[str, Any] = {"where": where} if issubclass(kind, QueryUnusable) else {}
        raise kind(said.pop("detail"), **{**extra, **said})
    return said


def _ended(database: Database, number: int, where: str) -> ApiError:
    """Why it came to its end, by its signal."""
    if number in (signal.SIGALRM, signal.SIGXCPU):
        return too_slow(database.name, database.statement_seconds, where=where)
    if number in (signal.SIGKILL, signal.SIGABRT):
        return QueryUnusable(
            f"The query needs more than the {MEMORY_BYTES // 2**20} MB of memory that it may have.",
            where=where,
        )
    if number > 0:
        return QueryUnusable("The query brought its process to an end.", where=where)
    LOGGER.error("The process that reads database %s ended with %s.", database.name, -number)
    return Unavailable("The process that reads databases broke off. Try again.")
