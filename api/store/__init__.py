"""The truth about documents, chunks, models and jobs. The only package that imports the database library.

All calls are synchronous and are made from worker threads; each is one transaction.
"""

from dataclasses import dataclass
from pathlib import Path

from api.store.database import Database, open_database
from api.store.documents import Documents
from api.store.index_source import IndexSource
from api.store.installation import Installation
from api.store.jobs import Jobs
from api.store.models import Models


@dataclass(frozen=True, slots=True)
class Store:
    """The tables, by noun."""

    database: Database
    documents: Documents
    index_source: IndexSource
    models: Models
    jobs: Jobs
    installation: Installation

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()


def open_store(path: Path) -> Store:
    """Open the database, brought to the newest schema; `errors.CannotStart` when it is damaged or newer."""
    database = open_database(path)
    return Store(
        database,
        Documents(database),
        IndexSource(database),
        Models(database),
        Jobs(database),
        Installation(database),
    )
