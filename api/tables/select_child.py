"""The process that runs one SELECT over a named database: only to read, within limits, a row at a time.

    python -m api.tables.select_child < REQUEST

The request is what `selected.py` sends, as JSON; so is the one line of the answer. Whatever the database does, a signal
of the clock ends it in time: SQLite works in this process, and PostgreSQL ends what nobody waits for any more.
"""

import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from api.errors import ApiError, OutOfSpace
from api.tables.refusals import (
    UNREAD,
    DatabaseAway,
    QueryUnusable,
    missing,
    not_reached,
    refused_by,
    unreadable,
)
from api.tables.sql_child import plain
from api.tables.types import as_text
from finetune.data.mapping import FOLD

if TYPE_CHECKING:  # who has started us may have no such library
    import psycopg

CONNECT_SECONDS = 10
LOCK_SECONDS = 5.0
"""What a statement may wait for what others have locked."""
MEMORY_BYTES = 512 * 2**20
"""Of addresses that this process may have: of what SQLite sorts, for it spills nothing to the disk, and of one row."""
MAX_ROW_BYTES = 10 * 2**20
PAGE_ROWS = 1000
PAGE_BYTES = 4 * 2**20
"""What PostgreSQL is asked for at once."""
MAX_ANSWER_BYTES = 32 * 2**20
"""Of the line that answers."""
CHECK = "client_connection_check_interval = 250"
"""How often, in milliseconds, PostgreSQL looks whether anybody still waits for what it does."""
READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
"""What SQLite does for a SELECT; with more it would attach other files."""
TELLING = frozenset({"fts3_tokenizer"})
"""Functions of it that tell addresses in memory."""
TYPES: Sequence[tuple[type, str]] = (
    *((bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"), (Decimal, "DECIMAL")),
    *((str, "VARCHAR"), (bytes, "BLOB"), (datetime, "TIMESTAMP"), (date, "DATE")),
)
"""What a value of a database is called; the first that fits."""
Clock = Callable[[float], Any]
"""Ends this process in so many seconds; in 0: not."""


class Found:
    """What a SELECT gives: its columns, and its rows one by one. `QueryUnusable` for one that is too large."""

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.columns = columns
        self.number = 0
        """Rows that were read."""
        self._rows = rows

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in self._rows:
            self.number += 1
            if (size := size_of(row)) > MAX_ROW_BYTES:
                largest = max(zip(map(size_of, row), self.columns, strict=True))[1]
                raise QueryUnusable(
                    f"Row {self.number} of the query has {size / 2**20:,.0f} MB, most of them in column "
                    f"{largest[:40]!r}, and a row may have {MAX_ROW_BYTES // 2**20}. Leave the column out, or choose a "
                    "part of it: substr(..., 1, 1000)."
                )
            yield row


def main() -> int:
    """Answer one request."""
    clock = partial(signal.setitimer, signal.ITIMER_REAL)
    answer = answered(json.load(sys.stdin), clock)
    clock(0)
    text = json.dumps(answer, ensure_ascii=False).encode(errors="replace")
    if len(text) > MAX_ANSWER_BYTES:
        most = f"{MAX_ANSWER_BYTES // 2**20} MB"
        text = json.dumps(_refused(QueryUnusable(f"The rows have more than {most}."))).encode()
    sys.stdout.buffer.write(text + b"\n")
    return 0


def answered(request: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """The first rows, as JSON has them, or, where there is a `target`, all of them copied there; or why not."""
    found: Found | None = None
    try:
        with OPENED[request["kind"]](request, clock) as found:
            return (_copied if "target" in request else _first)(found, request)
    except MemoryError:
        number = found.number + 1 if found else 1
        return _refused(
            QueryUnusable(
                f"The query needs more than the {MEMORY_BYTES // 2**20} MB of memory that it may have, at row "
                f"{number}: that row, or what is sorted, is too large. Choose fewer rows or columns, or a part of long "
                "values: substr(..., 1, 1000)."
            )
        )
    except UnicodeEncodeError:
        return _refused(QueryUnusable("The query is no text: it holds half a surrogate pair."))
    except UNREAD as error:
        return _refused(unreadable(request["name"], error))
    except OSError as error:
        if not OutOfSpace.is_behind(error):
            raise
        return {"errno": error.errno}
    except ApiError as error:
        return _refused(error)


def _refused(error: ApiError) -> dict[str, Any]:
    return {"refused": type(error).__name__, "detail": error.detail, **error.extra}


def opened_sqlite(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to a file that is there; `sqlite3.Error`. A text may hold bytes of another encoding."""
    uri = f"file:{quote(str(path))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, check_same_thread=False)
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


@contextlib.contextmanager
def _of_sqlite(request: Mapping[str, Any], clock: Clock) -> Iterator[Found]:
    """It opens the file only to read, is told to do nothing but select, and keeps in memory what it sorts."""
    clock(request["seconds"])
    try:
        connection = opened_sqlite(Path(request["where"]["path"]), "ro")
    except sqlite3.Error:
        raise not_reached(request["name"]) from None
    with contextlib.closing(connection):
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.set_authorizer(_only_reads)
        try:
            found = connection.execute(request["sql"])
            if found.description is None:
                raise QueryUnusable("One SELECT is needed.")
            yield Found([one[0] for one in found.description], found)
        except sqlite3.Error as error:
            raise refused_by(request["name"], request["seconds"], error) from None


def timeouts(seconds: float) -> list[Any]:
    """What tells a transaction of PostgreSQL how long a statement may take, and how long it may wait for a lock."""
    waits = min(LOCK_SECONDS, seconds / 2)
    times = (("statement_timeout", seconds), ("lock_timeout", waits))
    return [f"SET LOCAL {name} = {max(1, int(one * 1000))}" for name, one in times]


@contextlib.contextmanager
def _of_postgresql(request: Mapping[str, Any], clock: Clock) -> Iterator[Found]:
    """A transaction that only reads declares a cursor, which only one SELECT can be; its rows come one by one."""
    try:
        import psycopg
    except ImportError:
        raise DatabaseAway(missing("PostgreSQL needs")) from None
    where = {**request["where"], "connect_timeout": CONNECT_SECONDS}
    try:
        connection = psycopg.connect(**where, autocommit=True)
    except psycopg.Error:
        raise not_reached(request["name"]) from None
    clock(request["seconds"])
    from api.tables.postgresql import read_all_times

    with contextlib.closing(connection):
        read_all_times(connection)
        bounds = timeouts(request["seconds"])
        with contextlib.suppress(psycopg.Error):  # a server that cannot look ends it at its timeout
            connection.execute(f"SET {CHECK}")
            bounds.append(f"SET LOCAL {CHECK}")
        connection.autocommit = False
        connection.read_only = True
        sql: Any = request["sql"]
        try:
            if "\0" in sql:  # where the driver would end it
                raise QueryUnusable("The query is no text: it holds a null character.")
            declared = connection.cursor("found")
            declared.execute(sql)
            columns = [one.name for one in declared.description or ()]
            yield Found(columns, _fetched(connection, "; ".join(bounds)))
        except psycopg.Error as error:
            if error.sqlstate is None and "memory" in str(error):
                raise MemoryError from None
            if connection.broken:
                raise not_reached(request["name"]) from None
            raise refused_by(request["name"], request["seconds"], error) from None


def _fetched(connection: "psycopg.Connection[Any]", bounds: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of the cursor, some at a time, which come one by one. As many as those before let expect to be small:
    of one that does not fit into memory, libpq says so when it has thrown the others after it away.

    The statements `bounds` go before each of them: what is selected may call `set_config`, which counts from the next
    statement on.
    """
    length = 1
    while True:
        number = size = 0
        connection.execute(bounds, prepare=False)
        for row in connection.cursor().stream(f"FETCH {length} FROM found"):
            number, size = number + 1, size + size_of(row)
            yield row
        if number < length:
            return
        length = max(1, min(2 * length, PAGE_ROWS, PAGE_BYTES * number // max(size, 1)))


OPENED: Mapping[str, Callable[[Mapping[str, Any], Clock], AbstractContextManager[Found]]] = {
    "sqlite": _of_sqlite,
    "postgresql": _of_postgresql,
}


def _only_reads(action: int, _: str | None, name: str | None, *__: str | None) -> int:
    is_allowed = action in READING and not (action == sqlite3.SQLITE_FUNCTION and name in TELLING)
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


def _first(found: Found, request: Mapping[str, Any]) -> dict[str, Any]:
    """So many rows, and as many as have `max_bytes`; `is_all` says whether there are no more."""
    rows: list[list[Any]] = []
    types: dict[int, str] = {}
    size, is_all = 0, True
    for row in found:
        size += size_of(row)
        if len(rows) == request["limit"] or (rows and size > request["max_bytes"]):
            is_all = False
            break
        rows.append([plain(value) for value in row])
        for place, value in enumerate(row):
            if value is not None and place not in types:
                types[place] = _type(value)
    named = [types.get(place, "NULL") for place in range(len(found.columns))]
    return {"columns": found.columns, "types": named, "rows": rows, "is_all": is_all}


def _copied(found: Found, request: Mapping[str, Any]) -> dict[str, Any]:
    """All rows as JSON Lines, and the names that their columns have there."""
    names = with_fold(found.columns, request["fold"])
    size = 0
    with Path(request["target"]).open("w", encoding="utf-8", errors="replace") as file:
        for row in found:
            if found.number > request["most_rows"]:
                raise QueryUnusable(f"More than {request['most_rows']} rows. Add a LIMIT.")
            cells = dict(zip(names, map(_told, row), strict=True))
            line = json.dumps(cells, ensure_ascii=False) + "\n"
            size += len(line)
            if size > request["most_characters"]:
                raise QueryUnusable(
                    f"Its rows have more than {request['most_characters']:,} characters. Choose fewer."
                )
            file.write(line)
    return {"columns": names}


def with_fold(columns: Sequence[str], fold: str | None) -> list[str]:
    """The columns, of which one is called `fold`. `QueryUnusable` where two would have one name, or none has that."""
    if fold is not None and fold not in columns:
        known = ", ".join(map(repr, columns))[:500]
        raise QueryUnusable(f"There is no column {fold[:40]!r}. Columns: {known}.", where="fold")
    names = [FOLD if one == fold else one for one in columns]
    if len({one.lower() for one in names}) < len(names):
        raise QueryUnusable("Two columns have the same name: give one another by AS.")
    return names


def size_of(value: Any) -> int:
    """The characters and bytes that a value has, roughly, or a row of them; what holds others has some of its own."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return 8 + sum(size_of(name) + size_of(one) for name, one in value.items())
    return 8 + (sum(map(size_of, value)) if isinstance(value, list | tuple) else 0)


def _type(value: Any) -> str:
    return next((name for kind, name in TYPES if isinstance(value, kind)), type(value).__name__)


def _told(value: Any) -> Any:
    """As JSON has it: a number stays one, whatever is unknown becomes a text."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal | dict | list):
        return plain(value)
    return value.isoformat(" ") if isinstance(value, datetime) else as_text(value)


if __name__ == "__main__":
    sys.exit(main())
