"""Which installation this database is of, and a mark for each folder that it describes.

A folder holds the same id and mark (`data_folder/guarded.py`); by them both know that they belong together.
"""

import secrets

from sqlalchemy import insert, select, update

from api.data_folder import FolderName
from api.store.database import Database
from api.store.tables import installation


class Installation:
    """Queries over the one row; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def id(self) -> str:
        """The id, made when there is none yet."""
        with self._database.read() as connection:
            known = connection.execute(select(installation.c.id)).scalar()
        if known is not None:
            return str(known)
        made = secrets.token_hex(16)
        with self._database.write() as connection:
            connection.execute(insert(installation).values(id=made))
        return made

    def mark(self, folder: FolderName) -> int | None:
        """How many files the folder has been given in all; None when it has no id yet."""
        with self._database.read() as connection:
            mark = connection.execute(select(installation.c[folder])).scalar()
        return None if mark is None else int(mark)

    def set_mark(self, folder: FolderName, mark: int) -> None:
        """Remember the mark of a folder."""
        with self._database.write() as connection:
            connection.execute(update(installation).values({folder: mark}))
