"""Why a table, a database or a query of it is refused."""

from api.errors import InvalidOption, NotFound, Unavailable, Unusable


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


def unfit(where: str, why: str) -> InvalidOption:
    """A member of a request that does not go with the table, or with another member."""
    return InvalidOption(f"{where}: {why}", where=where)


def missing(what: str) -> str:
    """What it says that `what` (and its verb) needs the libraries of the extra `tables`."""
    return f"{what} the extra `tables`, which is not installed: pip install 'llm-fastapi[tables]'."
