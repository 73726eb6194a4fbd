"""Why a table, a database or a query of it is refused."""

from typing import Any

from api.errors import ApiError, NotFound, Unavailable, Unusable

BUSY = frozenset({"40001", "40P01", "55P03", "SQLITE_BUSY", "SQLITE_LOCKED"})
"""Words for a conflict with others, a deadlock, and a lock that cannot be had: PostgreSQL's, and SQLite's."""
SLOW = frozenset({"57014", "SQLITE_INTERRUPT"})
"""Words for a statement that was ended."""
UNREAD = (RecursionError, TypeError, ValueError)
"""What a driver, or SQLAlchemy, raises over a value."""


class TableNotFound(NotFound):
    """No table of that name."""

    title = "Table not found"


class DatabaseNotFound(NotFound):
    """No database of that name, or none that this workspace may use."""

    title = "Database not found"


class DatabaseAway(Unavailable):
    """A database does not answer; what it or its driver says may name its address, and stays in the log."""

    title = "Database away"


class TableUnusable(Unusable):
    """A file that is no table; `errors` names row, column and reason."""

    title = "Table cannot be used"


class QueryUnusable(Unusable):
    """A query that the database refuses, or that takes too long."""

    title = "Query cannot be used"


class QueryTooSlow(QueryUnusable):
    """A query that was ended."""


class ValueUnreadable(QueryUnusable):
    """A value that the driver cannot give: the others of its table can be read."""


def not_reached(database: str) -> DatabaseAway:
    """It is not there, or does not let us in."""
    return DatabaseAway(f"Database {database!r} cannot be reached. An operator can see why.")


def busy(database: str) -> DatabaseAway:
    """Others have what a statement waits for."""
    return DatabaseAway(f"Database {database!r} is busy with what others write. Ask again.")


def word_of(error: BaseException | None) -> str | None:
    """The word that a driver has for an error; of SQLite's the plain one: `SQLITE_BUSY_SNAPSHOT` is busy."""
    if name := getattr(error, "sqlite_errorname", None):
        return "_".join(str(name).split("_")[:2])
    return getattr(error, "sqlstate", None)


def refused_by(database: str, seconds: float, error: BaseException) -> ApiError:
    """Why a statement does not run that may take `seconds`, in the words of the database, which know nothing of its
    address. What kind of error it is, its words do not say: they repeat names of the query.
    """
    said = str(error).strip().partition("\n")[0]
    if word_of(error) in BUSY:
        return busy(database)
    if word_of(error) in SLOW:
        return too_slow(database, seconds)
    if type(error).__name__ == "DataError" and getattr(error, "sqlstate", None) is None:
        return unreadable(database, error)  # the driver says so, and not the server
    if "not authorized" in said or "one statement" in said:
        said = "only one SELECT is allowed"
    return QueryUnusable(f"Database {database!r} refuses the query: {said}.")


def unreadable(database: str, error: BaseException) -> ValueUnreadable:
    """A value that is none of its column's type, as SQLite may keep one, one that is too large, or JSON that Python
    does not read.
    """
    why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
    return ValueUnreadable(f"A value of database {database!r} cannot be read: {why}.")


def too_slow(database: str, seconds: float, **extra: Any) -> QueryTooSlow:
    """A query that was ended."""
    return QueryTooSlow(
        f"The query took longer than the {seconds:g} s that database {database!r} allows.", **extra
    )


def missing(what: str) -> str:
    """What it says that `what` (and its verb) needs the libraries of the extra `tables`."""
    return f"{what} the extra `tables`, which is not installed: pip install 'llm-fastapi[tables]'."
