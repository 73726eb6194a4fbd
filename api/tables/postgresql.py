"""Times of PostgreSQL that Python has no value for: `infinity`, years before Christ or of five digits, `24:00`.

Imported where psycopg is there.
"""

from typing import Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

TIMES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
UNREAD = (psycopg.DataError, NotImplementedError, OverflowError, ValueError)
"""What a loader raises over one, and over all of a session whose `DateStyle` it does not know."""


class TimeLoader(Loader):
    """Reads a time as psycopg does; one that Python has no value for is the text that PostgreSQL writes."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        known = psycopg.adapters.get_loader(oid, Format.TEXT)
        assert known  # noqa: S101  psycopg has one of each of `TIMES`
        self._known = known(oid, context)

    def load(self, data: Buffer) -> Any:
        """A value of `datetime`, or the text."""
        try:
            return self._known.load(data)
        except UNREAD:
            return bytes(data).decode()


def read_all_times(connection: "psycopg.Connection[Any]") -> None:
    """No time that it holds ends a query from here on."""
    for name in TIMES:
        connection.adapters.register_loader(name, TimeLoader)
