"""What became or stopped being searchable, in order: how the word index follows the documents."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, select

from api.store.database import Database
from api.store.tables import changes, documents

CHANGES_KEPT = 10_000
"""The newest changes, which a word index that was open lately may not have seen."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document became searchable (`put`) or stopped being it (`delete`)."""

    number: int
    kind: Literal["put", "delete"]
    document_id: str


class Changes:
    """Queries over changes; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, number: int) -> list[Change]:
        """What became or stopped being searchable after a change, oldest first."""
        query = select(changes).where(changes.c.number > number).order_by(changes.c.number)
        with self._database.read() as connection:
            return [
                Change(row.number, row.kind, row.document_id) for row in connection.execute(query)
            ]

    def last(self) -> int:
        """The number of the newest change, 0 when there is none."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(changes.c.number))).scalar() or 0

    def forget_old(self, kept: int = CHANGES_KEPT) -> None:
        """Forget changes of documents that are gone, but for the newest of all changes.

        Those of living documents stay: a word index that begins anew is made from them. One that has
        not seen a forgotten change differs from the store, and is repaired.
        """
        newest = select(func.max(changes.c.number)).scalar_subquery()
        with self._database.write() as connection:
            connection.execute(
                delete(changes).where(
                    changes.c.number <= newest - kept,
                    changes.c.document_id.not_in(select(documents.c.id)),
                )
            )
